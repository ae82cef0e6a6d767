"""Specs: what users type, and what they are told about a slip."""

from __future__ import annotations

import pytest

from tykky.errors import Exit, SpecError
from tykky.spec import Spec, parse, parse_one

JUPYTER_CUDA = Spec("python-data", "26.11", {"jupyter": True, "gpu": "cuda12"})


@pytest.mark.parametrize(
    ("words", "spec"),
    [
        (["fireworks"], Spec("fireworks")),
        (["python-data@26.11"], Spec("python-data", "26.11")),
        (["python-data/26.11"], Spec("python-data", "26.11")),
        (["python-data", "@26.11"], Spec("python-data", "26.11")),
        (["python-data@26.11", "+jupyter", "gpu=cuda12"], JUPYTER_CUDA),
        (["python-data@26.11+jupyter", "gpu=cuda12"], JUPYTER_CUDA),
        (["python-data@26.11 +jupyter gpu=cuda12"], JUPYTER_CUDA),
        (["python-data", "gpu=cuda12", "+jupyter", "@26.11"], JUPYTER_CUDA),
        (["x+a~b+c_d"], Spec("x", None, {"a": True, "b": False, "c_d": True})),
        (["3d_tools/2024.10-amplicon"], Spec("3d_tools", "2024.10-amplicon")),
        (["x", "+a", "+a"], Spec("x", None, {"a": True})),
    ],
)
def test_a_spec_in_words(words: list[str], spec: Spec) -> None:
    assert parse(words) == [spec]
    assert parse_one(words) == spec


@pytest.mark.parametrize("text", ["x", "x@1", "x@1 +a", "x@1 +a b=c ~d", "x b=c"])
def test_the_canonical_form_parses_to_the_same(text: str) -> None:
    assert str(parse_one(text)) == text
    assert parse_one(str(parse_one(text))) == parse_one(text)


def test_choices_belong_to_the_name_before_them() -> None:
    assert parse(["a", "+x", "b/2", "~x", "c"]) == [
        Spec("a", None, {"x": True}),
        Spec("b", "2", {"x": False}),
        Spec("c"),
    ]
    assert parse([]) == []


def test_equal_specs_are_one_in_a_set() -> None:
    assert len({parse_one("x +a b=c"), parse_one("x b=c +a"), parse_one("x")}) == 2


@pytest.mark.parametrize(
    ("words", "carets", "said"),
    [
        (["+jupyter", "x"], "^^^^^^^^", "name the recipe first"),
        (["x@"], " ^", "python-data@26.11"),
        (["x", "+", "y"], "  ^", "without a space"),
        (["x", "gpu="], "  ^", "gpu=VALUE"),
        (["x", "+a", "~a"], "     ^^", "contradicts"),
        (["x", "a=b", "a=c"], "      ^^^", "contradicts"),
        (["x@1", "@2"], "    ^^", "two versions, 1 and 2"),
        (["x@1", "@1"], None, ""),
        (["x", "-jupyter"], "  ^^^^^^^^", "did you mean '~jupyter'?"),
        (["x", "/home/jupyter"], "  ^^^^^^^^^^^^^", "quote it: '~NAME'"),
        (["./x"], "^^^", "is a path"),
        (["Python-Data@26.11"], "^^^^^^^^^^^", "did you mean 'python-data'?"),
        (["x==1.0"], "  ^", "did you mean 'x@1.0'?"),
        (["x=1.0"], "^^^^^", "did you mean 'x@1.0'?"),
        (["x:1.0"], " ^", "did you mean 'x@1.0'?"),
        (["x@1.0,y"], "     ^", "a spec looks like"),
        (["x@1=2"], "   ^", "a spec looks like"),
        (["@1"], "^", "name the recipe first"),
        (["käse"], " ^", "a spec looks like"),
    ],
)
def test_a_slip_is_shown_with_carets_and_a_way_out(
    words: list[str], carets: str | None, said: str
) -> None:
    if carets is None:
        parse(words)
        return
    with pytest.raises(SpecError) as caught:
        parse(words)
    assert caught.value.details == (" ".join(words), carets)
    assert said in f"{caught.value.cause}\n{caught.value.remedy}"
    assert caught.value.code == Exit.SPEC


@pytest.mark.parametrize(("words", "said"), [([], "missing"), (["a", "b +x"], "'a', 'b +x'")])
def test_one_spec_is_wanted(words: list[str], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_one(words)
    assert said in caught.value.cause
