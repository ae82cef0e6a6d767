"""What is inside of installs, answered from records: bills of materials, licences, advisories."""
