"""Every code block of the documentation is checked, by a real program where there is one.

A language without a check may not be used, so that no block is left out. Blocks that are run as
they stand have tests of their own: tests/api/test_build_on.py and test_verifying_backends.py,
tests/clients, tests/forward_auth/test_localhost_walk.py and test_remote_token.py.
"""

import ast
import csv
import json
import re
import secrets
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.template import engines
from pygments.lexers import get_lexer_by_name
from pygments.token import Error, Punctuation

from accounts.user_files.fields import READ_FIELDS
from config.environment import load
from config.environment.dotenv import parse_dotenv
from config.environment.errors import Problem, SettingsError
from devtools.servers.processes import program
from tests.architecture.markdown import PAGES, Block, blocks, prose
from tests.architecture.sources import ROOT
from tests.servers.apache import apache_configuration

BLOCKS = [block for page in PAGES for block in blocks(page)]
# What the shell examples call beside manage.py.
PROGRAMS = {
    ".venv/bin/python", "caddy", "cd", "cp", "createdb", "createuser", "curl", "docker", "echo",
    "export", "helm", "install", "journalctl", "kubectl", "ldapadd", "make", "mongoexport", "nice",
    "npm", "php", "pre-commit", "psql", "pveum", "python3", "sed", "systemctl", "systemd-run",
    "useradd",
}  # fmt: skip
COMMAND = re.compile(r"manage\.py ((?:[^|<>)#\n\"']|\"[^\"]*\"|'[^']*')+)")
OPENAPI = json.loads((ROOT / "docs" / "reference" / "openapi.json").read_text())
API = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/api/v1/[^\s`?]*)")
FORM = "application/x-www-form-urlencoded"
SECRET = secrets.token_hex(32)
NO_FILE = re.compile("which (?:is not a readable file|cannot be read)")
NGINX = "daemon off; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n"
UPSTREAM = "upstream gatehouse {{ server 127.0.0.1:8000; }}\n"


def _of(*languages: str) -> Any:
    """One case for each block of these languages."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=str)


def _shell(block: Block) -> str:
    """What is typed: of a console block the lines after the prompt, continued lines as one."""
    text = re.sub(r" 2>[^\s)]+", "", block.text.replace("\\\n", " "))
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    return text


def test_every_language_has_a_check() -> None:
    unknown = [f"{block}: {block.language}" for block in BLOCKS if block.language not in CHECKED]

    assert unknown == [], "add a check here, or write the language that it is"


@_of("sh", "console")
def test_a_shell_block_is_valid_and_calls_known_programs(block: Block) -> None:
    text = _shell(block)

    assert text.strip(), "a console block shows commands after `$ `"
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, capture_output=True)
    before = re.compile(r"^\s*(?:[A-Z_]+=\$\(|(?:[A-Z_]+=[^\s(]* +)*)")
    called = {before.sub("", line).split()[0] for line in text.splitlines() if line.strip()}
    assert called - PROGRAMS == set()


@_of("sh", "console", "text")
def test_the_arguments_of_a_command_are_accepted(block: Block) -> None:
    # In a line for cron, % is written with a backslash.
    text = re.sub(r"\$\(date \S+\)", "today", block.text)
    for found in COMMAND.findall(_shell(block) if block.language != "text" else text):
        name, *arguments = shlex.split(found, comments=True)
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments)  # raises CommandError


@_of("sh", "console")
def test_a_call_of_the_api_names_an_endpoint_and_its_fields(block: Block) -> None:
    for call in re.findall(r"curl [^\n]*", _shell(block)):
        words = shlex.split(call.partition(" | ")[0], comments=True)
        path = next((_path_of(word) for word in words if _path_of(word)), "")
        if path:
            body = words[words.index("-d") + 1] if "-d" in words else ""
            method = words[words.index("-X") + 1] if "-X" in words else ("POST" if body else "GET")
            _check_call(method, path, body)


def _path_of(word: str) -> str:
    """/api/v1/… of an address of Gatehouse; "" for anything else."""
    match = re.fullmatch(r"(?:https?://[^/]+|\$GATEHOUSE)(/api/v1/[^?]*)(?:\?.*)?", word)
    return match[1] if match else ""


def _check_call(method: str, path: str, body: str) -> None:
    operation = _operation(method, path)
    assert operation is not None, f"{method} {path} is not in the API"
    if body:
        # A value that the shell fills in: "{\"refresh\": \"$REFRESH\"}".
        ((kind, content),) = operation["requestBody"]["content"].items()
        sent = parse_qs(body) if kind == FORM else json.loads(body)
        known = _properties(content["schema"])
        assert set(sent) <= known, f"{method} {path} knows {sorted(known)}"


def _operation(method: str, path: str) -> dict[str, Any] | None:
    """Of the OpenAPI document. A variable, `<id>` or `{id}` stands for one part of the path."""
    wanted = re.sub(r"\$\w+|<\w+>|\{\w+\}", "x", path.rstrip("/")).split("/")
    for known, methods in OPENAPI["paths"].items():
        parts = known.rstrip("/").split("/")
        if len(parts) == len(wanted) and all(
            part == word or (part.startswith("{") and word)
            for part, word in zip(parts, wanted, strict=True)
        ):
            found: dict[str, Any] | None = methods.get(method.lower())
            if found is not None:
                return found
    return None


def _properties(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        schema = OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    several = schema.get("oneOf", []) + schema.get("anyOf", []) + schema.get("allOf", [])
    return set(schema.get("properties", {})).union(*map(_properties, several))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_endpoints_in_the_text_exist(page: Path) -> None:
    """`POST /api/v1/users` in a sentence or a table."""
    assert [
        f"{method} {path}"
        for method, path in API.findall(prose(page))
        if "…" not in path and _operation(method, path) is None
    ] == []


@_of("ini")
def test_a_server_starts_with_the_settings(block: Block, tmp_path: Path) -> None:
    """`…` stands for a secret. The files that settings name need not exist."""
    found, wrong = parse_dotenv(block.text)
    assert wrong == []
    assert len(found) == len([line for line in block.text.splitlines() if line.strip()])
    values = {name: line.value.replace("…", SECRET) for name, line in found.items()}
    problems: tuple[Problem, ...] = ()

    try:
        load(values, None, data_dir=tmp_path)
    except SettingsError as error:
        problems = error.problems

    assert [str(each) for each in problems if not NO_FILE.search(str(each))] == []


@_of("dotenv")
def test_settings_of_other_programs_can_be_read(block: Block) -> None:
    """Each line sets a variable once; tests/oidc_provider/test_recipes.py reads the values."""
    found, wrong = parse_dotenv(block.text)

    assert wrong == []
    assert len(found) == len(block.text.splitlines())


@_of("json")
def test_json_is_valid(block: Block) -> None:
    json.loads(block.text)


@_of("yaml")
def test_yaml_is_valid(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict | list)


@_of("csv")
def test_a_table_of_users_has_known_columns(block: Block) -> None:
    columns, *rows = csv.reader(block.text.splitlines())

    assert set(columns) <= set(READ_FIELDS)
    assert [row for row in rows if len(row) != len(columns)] == []


@_of("python")
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text)


@_of("js")
def test_javascript_compiles(block: Block, tmp_path: Path) -> None:
    file = tmp_path / ("block.mjs" if re.search(r"(?m)^import |await ", block.text) else "block.js")
    file.write_text(block.text)

    subprocess.run([program("node", "nodejs"), "--check", file], check=True, capture_output=True)


@_of("go", "rust")
def test_a_program_of_a_compiler_has_valid_tokens(block: Block) -> None:
    """tests/clients/test_other_languages.py compiles it, where there is a compiler."""
    found = list(get_lexer_by_name(block.language).get_tokens(block.text))
    brackets = "".join(text for kind, text in found if kind in Punctuation)
    while (
        fewer := re.sub(r"\(\)|\[\]|\{\}", "", re.sub(r"[^()\[\]{}]", "", brackets))
    ) != brackets:
        brackets = fewer

    assert [text for kind, text in found if kind in Error] == []
    assert brackets == ""


@_of("toml")
def test_toml_is_valid(block: Block) -> None:
    tomllib.loads(block.text)


@_of("html")
def test_a_template_compiles(block: Block) -> None:
    engines["django"].from_string(block.text)


@_of("ldif")
def test_entries_of_a_directory_have_a_name_and_a_class(block: Block) -> None:
    for entry in block.text.strip().split("\n\n"):
        names = [line.partition(":")[0] for line in entry.splitlines()]
        assert names[0] == "dn"
        assert "objectClass" in names


@_of("sql")
def test_a_statement_is_of_postgres(block: Block) -> None:
    assert re.fullmatch(r"(?:ALTER|CREATE|GRANT) [^;]+;\n", block.text)


@_of("apache")
def test_apache_accepts_the_block(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "apache.conf"
    file.write_text(apache_configuration(tmp_path, 8000) + block.text)

    done = subprocess.run(
        [program("apache2", "httpd"), "-t", "-f", file], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


@_of("nginx")
def test_nginx_accepts_the_block(block: Block, tmp_path: Path) -> None:
    is_server = block.text.startswith("server {")
    text = block.text.replace("http://gatehouse:8000", "http://gatehouse").replace(
        "http://app:3000", "http://127.0.0.1:3000"
    )
    inside = text if is_server else f"server {{ listen 127.0.0.1:8080;\n{text}}}\n"
    file = tmp_path / "nginx.conf"
    file.write_text(f"{NGINX}{UPSTREAM}".format(folder=tmp_path) + inside + "}\n")

    done = subprocess.run(
        [program("nginx"), "-t", "-p", tmp_path, "-c", file], capture_output=True, text=True
    )

    assert "syntax is ok" in done.stderr


@_of("caddyfile")
def test_caddy_accepts_the_block(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(f"{{\n\tadmin off\n}}\nhttp://localhost:8080 {{\n{block.text}}}\n")

    subprocess.run(
        [program("caddy"), "validate", "--adapter", "caddyfile", "--config", file],
        check=True, capture_output=True, env={"HOME": str(tmp_path)},
    )  # fmt: skip


@_of("text")
def test_a_text_is_output_or_a_drawing(block: Block) -> None:
    """Commands belong into a block of the language sh, where they are checked."""
    if block.text.startswith(("15 3 * * * ",)):
        return  # a line for cron
    typed = [
        line for line in block.text.splitlines() if re.match(r"(?:make|curl|\S*python) ", line)
    ]

    assert typed == []


@_of("sh", "console")
def test_commands_are_called_as_a_reader_can_call_them(block: Block) -> None:
    """One way everywhere, which works in the folder of Gatehouse."""
    called = re.findall(r"(\S+) manage\.py|(?m:^)(manage\.py)", _shell(block))

    assert {re.sub(r"^.*\$\(", "", one or other) for one, other in called} <= {".venv/bin/python"}


CHECKED = {
    "sh", "console", "ini", "dotenv", "json", "yaml", "csv", "python", "js", "html", "ldif", "sql",
    "nginx", "apache", "caddyfile", "text", "go", "rust", "toml",
}  # fmt: skip
