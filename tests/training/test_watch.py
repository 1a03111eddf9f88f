"""Where the time went is told of runs that took steps, and not of commands that were refused."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.config.operation import OperationConfig
from hybridlm.training.watch import watching


def test_a_refused_command_gives_no_account_of_its_time(capsys):
    with pytest.raises(ConfigError), watching(OperationConfig()):
        raise ConfigError("the mesh does not fit")
    assert capsys.readouterr().err == ""


def test_a_run_that_took_steps_does_even_if_it_fails(capsys):
    with pytest.raises(ConfigError), watching(OperationConfig()) as watch, watch.goodput.spent_on("step"):
        raise ConfigError("the loss is not finite")
    assert capsys.readouterr().err.startswith("goodput ")
