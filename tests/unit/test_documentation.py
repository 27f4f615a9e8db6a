"""The documentation is true of the tree: its links, commands, options, paths and names exist."""

import configparser
import functools
import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest
from support.places import ROOT, TESTS

from bench.cli import cli
from bench.cli.run_file import read_run_file
from bench.errors import UserError
from bench.spec.shapes import resolve

DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^ {4,}\S.*\n)+", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMAND = re.compile(r"^(?:python -m bench|bench|evenbench)(?: (.*))?$")
_PATH = re.compile(r"(?:bench|backends|reports|tests|examples|docs)/[\w./-]*\w/?")
_SCRIPT = re.compile(r"PYTHONPATH=tests python -m ([a-z_]+\.[a-z_]+)")
_TOX = re.compile(r"tox -e (\S+)")
_FOLDER_ROW = re.compile(r"^\| `([\w/]+/)` \|.*\| (.+) \|$", re.MULTILINE)
_API = re.compile(r"^::: (\S+)$", re.MULTILINE)
# Options of the tests' own scripts and of Ray, which pages mention by themselves.
_OTHER_OPTIONS = {"--only", "--num-cpus"}


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return _INDENTED.sub("", _FENCE.sub("", _text(page)))


def _spans(page: Path) -> list[str]:
    return _SPAN.findall(_prose(page))


def _code_lines(page: Path) -> list[str]:
    """The lines of the page's shell code, continued lines joined."""
    fences = [code for _, language, code in _FENCE.findall(_text(page)) if language in ("", "bash")]
    indented = _INDENTED.findall(_FENCE.sub("", _text(page)))
    code = "\n".join([*fences, *indented]).replace("\\\n", " ")
    return [line.strip() for line in code.splitlines()]


def _commands(page: Path) -> list[str]:
    """What follows `bench` in each command that the page shows."""
    matches = map(_COMMAND.match, [*_code_lines(page), *_spans(page)])
    return [match[1] or "" for match in matches if match]


def _anchor(heading: str) -> str:
    """The anchor that GitHub and MkDocs both give to a heading."""
    words = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s", "-", words.strip())


def _find(group: click.Group, arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the arguments name, and its own arguments.

    Raises:
        click.UsageError: there is no such command.
    """
    command: click.Command = group
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        _, found, arguments = command.resolve_command(click.Context(command), arguments)
        assert found is not None
        command = found
    return command, arguments


def _parse(command: click.Command, arguments: list[str]) -> None:
    """Parse the arguments and convert the values of options; files need not exist.

    Raises:
        click.UsageError: an option does not exist.
        UserError: an option has an invalid value.
    """
    context = click.Context(command, info_name="bench")
    values, _, _ = command.make_parser(context).parse_args(list(arguments))
    for param in command.params:
        if isinstance(param, click.Option) and param.name in values:
            param.type_cast_value(context, values[param.name])


@functools.cache
def _options(command: click.Command) -> frozenset[str]:
    """The options of the command and of those below it."""
    context = click.Context(command, help_option_names=["-h", "--help"])
    params = command.get_params(context)
    own = {name for each in params for name in (*each.opts, *each.secondary_opts)}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            own |= _options(_find(command, [name])[0])
    return frozenset(own)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPage:
    def test_its_links_lead_somewhere(self, page):
        for link in _LINK.findall(_prose(page)):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name) if name else page
            assert target.exists(), f"{link}: there is no such file"
            if anchor:
                assert anchor in map(_anchor, _HEADING.findall(_text(target))), link

    def test_its_commands_parse(self, page):
        for line in _commands(page):
            arguments = shlex.split(line, comments=True)
            if arguments[:1] == ["COMMAND"]:
                continue
            _parse(*_find(cli, arguments))

    def test_the_options_that_it_mentions_exist(self, page):
        mentioned = {re.split(r"[ =]", each)[0] for each in _spans(page) if each.startswith("--")}
        assert mentioned - _options(cli) - _OTHER_OPTIONS == set()

    def test_the_files_that_it_mentions_exist(self, page):
        paths = filter(_PATH.fullmatch, _spans(page))
        assert [path for path in paths if not (ROOT / path).exists()] == []

    def test_the_scripts_that_it_runs_exist(self, page):
        for module in _SCRIPT.findall(_text(page)):
            assert (TESTS / f"{module.replace('.', '/')}.py").exists(), module

    def test_the_environments_of_tox_that_it_names_exist(self, page):
        named = {
            name for names in _TOX.findall(" ".join(_spans(page))) for name in names.split(",")
        }
        configured = configparser.ConfigParser(interpolation=None)
        configured.read(ROOT / "tox.ini")
        pythons = re.findall(r"\d+", configured["tox"]["env_list"].split("py3{")[1].split("}")[0])
        known = {f"py3{minor}" for minor in pythons}
        known |= {name.removeprefix("testenv:") for name in configured.sections()}
        assert named - known == set()

    def test_the_names_of_its_reference_can_be_imported(self, page):
        for name in _API.findall(_text(page)):
            pkgutil.resolve_name(name)


def test_the_architecture_lists_all_modules_and_no_others():
    rows = _FOLDER_ROW.findall(_text(DOCS / "architecture.md"))
    assert len(rows) > 15
    for folder, text in rows:
        listed = set(_SPAN.findall(text))
        folders = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        files = {path.stem for path in (ROOT / folder).glob("[!_]*.py")}
        assert listed - files - folders == set(), f"{folder} does not contain these"
        if listed:  # or else the page describes the files in words
            assert files - listed == set(), f"docs/architecture.md does not list these of {folder}"


def test_every_page_is_in_the_navigation_of_the_site():
    pages = re.findall(r"^ +- (\S+\.md)$", _text(ROOT / "mkdocs.yml"), re.MULTILINE)
    assert sorted(pages) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_the_pages_show_commands():
    """A change of the pages' form could otherwise hide all of them from the tests above."""
    assert len([command for page in PAGES for command in _commands(page)]) > 80


@pytest.mark.parametrize("line", ["run --no-such-option", "run --margin much", "no-such-command"])
def test_an_invalid_command_does_not_parse(line):
    with pytest.raises((click.UsageError, UserError)):
        _parse(*_find(cli, line.split()))


def test_the_model_of_the_user_guide_has_the_right_shape():
    (code,) = [code for _, _, code in _FENCE.findall(_text(DOCS / "index.md")) if "mynet" in code]
    names = {}
    exec(compile(code, "mymodel.py", "exec"), names)  # noqa: S102 - the page's own example
    assert resolve(names["mynet"](10), (28, 28, 1)).output_shape == (10,)


def test_the_run_files_of_their_page_are_valid(tmp_path):
    path = tmp_path / "page.toml"
    requests = []
    for _, language, code in _FENCE.findall(_text(DOCS / "run-files.md")):
        if language == "toml":
            path.write_text(code)
            requests.append(read_run_file(path).request)
    assert [matrix.backends for matrix in requests[0].matrices] == [["torch", "jax"], ["numpy"]]
