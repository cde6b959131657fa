"""Every pass, alone and in the pipeline, keeps the meaning of random programs, to the bit."""

from __future__ import annotations

import os

import pytest

from lms.core.verify import verify, verify_lowered
from lms.passes.base import Pass
from lms.passes.bounds import Bounds
from lms.passes.carry import Carry
from lms.passes.clone import clone
from lms.passes.copies import Copies
from lms.passes.covered import Covered
from lms.passes.cse import Cse
from lms.passes.dce import Dce
from lms.passes.fold import Fold
from lms.passes.forward import Forward
from lms.passes.licm import Licm
from lms.passes.loops import FuseLoops
from lms.passes.lower import Lower
from lms.passes.reuse import Reuse
from lms.passes.scalars import Scalars
from lms.passes.spots import Spots
from lms.passes.stores import LateFills, MergeStores
from lms.passes.sums import Sums
from lms.passes.turn import Turn
from lms.passes.unpack import Unpack
from lms.passes.version import Version
from lms.pipeline import pipeline
from tests.passes.generate import Generator
from tests.passes.generate_arrays import ArrayGenerator
from tests.passes.programs import outcome, same

ALONE: list[Pass] = [Fold(), Cse(), Bounds(), Licm(), Dce(), Unpack(), Carry(), Scalars(), Covered(), LateFills(), Turn(),
                     FuseLoops(), Forward(), MergeStores(), Sums(), Version(), Reuse(), Spots(), Copies(), Lower()]
SUMS = {"lower", "unpack", "turn", "merge-stores", "sums", "spots"}  # these may take a sum that is marked `fast` in another order
FEW, MANY = range(40), range(1000, 1000 + int(os.environ.get("LMS_FUZZ_EXAMPLES", "200")))


@pytest.mark.parametrize("step", ALONE, ids=lambda step: step.name)
def test_a_pass_keeps_the_meaning(step: Pass) -> None:
    for seed in FEW:
        g = Generator(seed)
        prog = g.program()
        new = step.run(clone(prog))
        verify(new, after=f"{step.name}, seed {seed}")
        for _ in range(2):
            args = g.arguments()
            same(outcome(prog, args), outcome(new, args), exact=step.name not in SUMS)


@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)], ids=["few", "many"])
def test_the_pipeline_keeps_the_meaning(seeds: range) -> None:
    for seed in seeds:
        g = Generator(seed)
        prog = g.program()
        new = clone(prog)
        for step in pipeline():
            new = step.run(new)
            verify(new, after=f"{step.name}, seed {seed}")
        verify_lowered(new)
        for _ in range(2):
            args = g.arguments()
            same(outcome(prog, args), outcome(new, args))


@pytest.mark.parametrize("step", [Cse(), Dce()], ids=lambda step: step.name)
def test_a_pass_finds_all_it_looks_for_at_once(step: Pass) -> None:
    for seed in range(20):
        prog = step.run(Generator(seed).program())
        assert len(str(step.run(clone(prog)))) == len(str(prog))


@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.fuzz)], ids=["few", "many"])
def test_operations_on_whole_arrays_keep_their_meaning(seeds: range) -> None:
    for seed in seeds:
        g = ArrayGenerator(seed)
        prog = g.program()
        low = Lower().run(clone(prog))
        verify_lowered(low, after=f"lower, seed {seed}")
        new = clone(prog)
        for step in pipeline():
            new = step.run(new)
            verify(new, after=f"{step.name}, seed {seed}")
        for _ in range(2):
            args = g.arguments()
            expected = outcome(prog, args)
            assert isinstance(expected, list)
            same(expected, outcome(low, args))
            same(expected, outcome(new, args))
