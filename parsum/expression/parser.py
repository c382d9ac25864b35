"""From the text of an expression to its operations, refusing all that is not listed here."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from parsum.expression.operations import Number, words

Error = TypeVar("Error", bound=Exception)

MAX_LENGTH: Final = 10_000
MAX_DEPTH: Final = 100
#: As many as fit on the stack beside each other (writer.BUFFER_BYTES).
MAX_NAMES: Final = 32
#: No dtype holds larger integers; they would only take time.
_MAX_BITS: Final = 20_000


_BINARY: Final[dict[type[ast.operator], tuple[str, Callable[..., Any]]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("subtract", operator.sub),
    ast.Mult: ("multiply", operator.mul),
    ast.Div: ("divide", operator.truediv),
    ast.FloorDiv: ("floor_divide", operator.floordiv),
    ast.Mod: ("remainder", operator.mod),
    ast.Pow: ("power", operator.pow),
    ast.BitAnd: ("bitwise_and", operator.and_),
    ast.BitOr: ("bitwise_or", operator.or_),
    ast.BitXor: ("bitwise_xor", operator.xor),
    ast.LShift: ("left_shift", operator.lshift),
    ast.RShift: ("right_shift", operator.rshift),
}
_UNARY: Final[dict[type[ast.unaryop], tuple[str, Callable[..., Any]]]] = {
    ast.UAdd: ("positive", operator.pos),
    ast.USub: ("negative", operator.neg),
    ast.Invert: ("invert", operator.invert),
}
_COMPARE: Final[dict[type[ast.cmpop], tuple[str, Callable[..., Any]]]] = {
    ast.Lt: ("less", operator.lt),
    ast.LtE: ("less_equal", operator.le),
    ast.Eq: ("equal", operator.eq),
    ast.NotEq: ("not_equal", operator.ne),
    ast.Gt: ("greater", operator.gt),
    ast.GtE: ("greater_equal", operator.ge),
}
#: What may be called: NumPy's name of it and the number of arguments.
_FUNCTIONS: Final[dict[str, tuple[str, int]]] = {
    **{
        name: (name, 1)
        for name in words(
            "absolute sqrt square exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos"
            " arctan sinh cosh tanh arcsinh arccosh arctanh floor ceil trunc rint sign isnan isinf"
            " isfinite conjugate real imag logical_not"
        )
    },
    **{
        name: (name, 2)
        for name in words(
            "arctan2 minimum maximum fmin fmax hypot power logical_and logical_or logical_xor"
        )
    },
    "abs": ("absolute", 1),
    "conj": ("conjugate", 1),
    "where": ("where", 3),
    "clip": ("clip", 3),
}
_HINTS: Final[list[tuple[type[ast.AST], str]]] = [
    (ast.BoolOp, "`and` and `or` are not for arrays, use & and | with parentheses"),
    (ast.Not, "`not` is not for arrays, use ~"),
    (ast.IfExp, "`if` is not for arrays, use where(condition, a, b)"),
    (ast.Compare, "chained comparisons are not for arrays, use (a < b) & (b < c)"),
    (ast.Call, "only functions by their names are called"),
]
_ALLOWED: Final = "use numbers, names, operators and function calls"


@dataclass(frozen=True, slots=True)
class Node:
    """An operation of an expression, a variable (`name`) or a number (`constant`)."""

    operation: str
    arguments: tuple[Node, ...] = ()
    value: Number | str = 0
    #: A function's result is NumPy's even if its arguments are Python scalars.
    called: bool = False
    start: int = 0
    end: int = 0


class Parser:
    """From text to nodes, refusing everything that is not listed above."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: dict[str, None] = {}
        # the parser takes blanks in front for an indented block
        self._indent = len(text) - len(text.lstrip(" \t"))
        lines = text[self._indent :].encode("utf-8", "surrogatepass").splitlines(keepends=True)
        self._starts = [self._indent]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))

    def parse(self) -> Node:
        """Return the root of the tree; ValueError for what is not allowed."""
        text = self.text
        if len(text) > MAX_LENGTH:
            raise ValueError(
                f"an expression may have {MAX_LENGTH} characters at most, got {len(text)}"
            )
        try:
            tree = ast.parse(text[self._indent :], "<expression>", "eval")
        except SyntaxError as error:
            place = f" at column {self._indent + error.offset}" if error.offset else ""
            raise ValueError(f"{_shown(text)} is not an expression: {error.msg}{place}") from None
        except (ValueError, MemoryError, RecursionError, UnicodeError) as error:
            reason = "nested too deeply" if not isinstance(error, ValueError) else str(error)
            raise ValueError(f"{_shown(text)} is not an expression: {reason}") from None
        return self._node(tree.body, 0)

    def _place(self, node: ast.expr) -> tuple[int, int]:
        """Start and end as indices of the text; the parser's are of bytes in lines."""
        raw = self.text.encode()
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return len(raw[:start].decode(errors="ignore")), len(raw[:end].decode(errors="ignore"))

    def _refuse(self, node: ast.expr, reason: str) -> ValueError:
        return error_at(ValueError, self.text, *self._place(node), reason)

    def _node(self, node: ast.expr, depth: int) -> Node:
        if depth >= MAX_DEPTH:
            raise self._refuse(node, f"nested more than {MAX_DEPTH} deep")
        start, end = self._place(node)
        match node:
            case ast.Constant(value=bool() | int() | float() | complex() as value):
                self._check_size(node, value)
                return Node("constant", (), value, False, start, end)
            case ast.Name(id=name):
                return Node("name", (), self._variable(node, name), False, start, end)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                operation, fold = _UNARY[type(op)]
                operands = [operand]
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
                operation, fold = _BINARY[type(op)]
                operands = [left, right]
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                operation, fold = _COMPARE[type(op)]
                operands = [left, right]
            case ast.Call(func=ast.Name(id=name), args=operands):
                operation = self._function(node, name)
                arguments = tuple(self._node(operand, depth + 1) for operand in operands)
                return Node(operation, arguments, 0, True, start, end)
            case _:
                raise self._refuse(node, self._hint(node))
        arguments = tuple(self._node(operand, depth + 1) for operand in operands)
        if all(argument.operation == "constant" for argument in arguments):
            value = self._fold(node, operation, fold, [argument.value for argument in arguments])
            return Node("constant", (), value, False, start, end)
        return Node(operation, arguments, 0, False, start, end)

    def _hint(self, node: ast.expr) -> str:
        part: ast.AST = node.op if isinstance(node, ast.UnaryOp) else node
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return "comparisons are by < <= == != >= >"
        for kind, hint in _HINTS:
            if isinstance(part, kind):
                return hint
        return f"a {type(node).__name__} is not allowed, {_ALLOWED}"

    def _variable(self, node: ast.expr, name: str) -> str:
        if name in _FUNCTIONS:
            raise self._refuse(node, "a function cannot be a variable, call it or rename it")
        if name.startswith("__"):
            raise self._refuse(node, "names of variables may not start with two underscores")
        self.names.setdefault(name)
        if len(self.names) > MAX_NAMES:
            raise self._refuse(node, f"an expression may have {MAX_NAMES} variables at most")
        return name

    def _function(self, node: ast.Call, name: str) -> str:
        if name not in _FUNCTIONS:
            raise self._refuse(
                node, f"{name} is not a function that can be called: {', '.join(_FUNCTIONS)}"
            )
        operation, count = _FUNCTIONS[name]
        if node.keywords:
            raise self._refuse(node, f"{name} takes no keyword arguments")
        if len(node.args) != count:
            raise self._refuse(node, f"{name} takes {count} arguments, got {len(node.args)}")
        return operation

    def _check_size(self, node: ast.expr, value: Number) -> None:
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise self._refuse(node, "the integer is too large")

    def _fold(
        self, node: ast.expr, operation: str, fold: Callable[..., Any], values: list[Any]
    ) -> Number:
        """Python's value of an operation on numbers, unless it would take long."""
        if all(isinstance(value, int) for value in values) and len(values) == 2:
            left, right = values
            bits = left.bit_length()
            if (operation == "left_shift" and right > _MAX_BITS) or (
                operation == "power" and bits * max(right, -right) > _MAX_BITS
            ):
                raise self._refuse(node, "the integer is too large")
        try:
            value: Number = fold(*(+v if operation == "invert" else v for v in values))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise self._refuse(node, str(error)) from None
        self._check_size(node, value)
        return value


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 60 else ascii(text[:57]) + "..."


def error_at(kind: type[Error], text: str, start: int, end: int, reason: str) -> Error:
    """Return an error that shows a part of the text, and where it is."""
    return kind(f"{_shown(text[start:end])} at column {start + 1}: {reason}")
