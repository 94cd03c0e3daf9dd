"""How templates become code: quick calls, nothing printed unescaped, and compiled once for all processes."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import sys
from collections.abc import Callable
from importlib.resources import files
from keyword import iskeyword
from typing import Any

import jinja2
from jinja2 import BaseLoader, BytecodeCache, Environment, FileSystemBytecodeCache, StrictUndefined, nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame


class _Generator(CodeGenerator):
    """Makes of a template's expressions calls of `page_words.shown` alone, which makes visible and escapes at once."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write("environment.finalize(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(")")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        """A call as Python has it: no function that the templates have asks for the context."""
        if node.dyn_args is not None or node.dyn_kwargs is not None or any(iskeyword(one.key) for one in node.kwargs):
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.visit(node.node, frame)
        self.write("(")
        for argument in (*node.args, *node.kwargs):
            self.visit(argument, frame)
            self.write(", ")
        self.write("caller=caller)" if forward_caller else ")")


class _Environment(Environment):
    """A page has thousands of expressions and macros: what jinja2 does about each of them is most of its time."""

    code_generator_class = _Generator


class _Compiled(FileSystemBytecodeCache):
    """Templates once compiled, as Python keeps its modules: to compile them takes half of a small report's time."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """A directory that is not ours to write to, or a full disk, costs that time again and nothing else."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _compiled() -> BytecodeCache | None:
    """Where Python keeps the compiled modules beside the templates; what compiled them is part of the files' names."""
    if sys.dont_write_bytecode:
        return None
    try:
        folder = pathlib.Path(str(files("pcapreport.templates"))) / "__pycache__"
        folder.mkdir(exist_ok=True)
        maker = hashlib.sha256(pathlib.Path(__file__).read_bytes() + jinja2.__version__.encode()).hexdigest()
    except OSError:
        return None
    return _Compiled(str(folder), f"%s.{maker[:16]}.jinja")


def environment_of(loader: BaseLoader, finalize: Callable[[Any], Any], kept: bool) -> Environment:
    """For templates that escape all they print, which passes `finalize`; `kept`: their code is, for other processes."""
    return _Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        finalize=finalize,
        bytecode_cache=_compiled() if kept else None,
    )
