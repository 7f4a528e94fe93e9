"""The exports of the command line's tests, whose model cards are tested here."""

from tests.cli.conftest import exported as exported
