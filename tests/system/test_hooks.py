"""The hooks of a site, in a real installation."""

from __future__ import annotations

from pathlib import Path

from tests.bills import check_cyclonedx
from tests.stacks import Site


def test_hooks_run_around_every_step_in_order(site: Site, place: Path) -> None:
    steps = ("resolve", "base", "build", "finish", "squash", "test", "commit", "publish")
    names = [f"{when}_{step}" for step in steps for when in ("before", "after")]
    told = place / "told"
    site.hello()
    text = f"""
        def tell(name):
            def hook(build):
                with open({str(told)!r}, "a") as stream:
                    print(name, file=stream)
            return hook

        for name in {names!r}:
            globals()[name] = tell(name)
    """
    site("install", "hello", "-c", f"hooks={site.hooks(text)}")
    assert told.read_text().split() == names


def test_hook_may_add_to_what_is_built(site: Site) -> None:
    site.hello()
    hooks = site.hooks(
        """
        def after_build(build):
            (build.scratch.root / "site.txt").write_text("from the site")

        def before_test(build):
            assert not build.scratch.root.exists()
        """
    )
    site("install", "hello", "-c", f"hooks={hooks}")
    site.hello("other", more="def finish(self, box):\n    pass")
    command = site.prefix("hello") / "bin/hello"
    assert site.user.run(command).stdout == "hello 1.0\n"


def test_no_build_is_lost_for_its_bill_of_materials(site: Site) -> None:
    site.hello()
    hooks = site.hooks(
        """
        from tykky.inventory import cyclonedx

        def before_commit(build):
            cyclonedx.FILE = "no/such/folder"
        """
    )
    said = site("install", "hello", "-c", f"hooks={hooks}").stderr
    assert "hello/1.0#1 has no bill of materials, since it could not be made: cannot write" in said
    site("verify")
    assert site.user.run(site.prefix("hello") / "bin/hello").stdout == "hello 1.0\n"
    site("refresh", "hello")
    check_cyclonedx((site.generation("hello") / "sbom.cdx.json").read_text())
    site("refresh", "--check", "hello")
