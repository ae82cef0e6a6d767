"""Programs that Tykky starts, a module each: the box, mksquashfs, uv."""
