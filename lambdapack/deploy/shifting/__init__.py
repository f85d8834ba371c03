"""Shifting calls from one version to the next: step by step, watched, undone when the new one is worse."""

from lambdapack.deploy.shifting.judging import Tolerance, judge
from lambdapack.deploy.shifting.machine import ROLLED_BACK, Move, Wait, active, begin, finish, script, step
from lambdapack.deploy.shifting.machine import undo as undo_move
from lambdapack.deploy.shifting.note import NOTE_MAX, Note, others_of, read
from lambdapack.deploy.shifting.options import Outcome, ShiftOptions, StepResult
from lambdapack.deploy.shifting.shifter import Commands, Shifter, undo
from lambdapack.deploy.shifting.traffic import AliasConflictError, AliasState, Health, Traffic
from lambdapack.deploy.shifting.watching import Checks, Clock, SystemClock

__all__ = [
    "NOTE_MAX", "ROLLED_BACK", "AliasConflictError", "AliasState", "Checks", "Clock", "Commands", "Health",
    "Move", "Note", "Outcome", "ShiftOptions", "Shifter", "StepResult", "SystemClock", "Tolerance", "Traffic",
    "Wait", "active", "begin", "finish", "judge", "others_of", "read", "script", "step", "undo", "undo_move",
]  # fmt: skip
