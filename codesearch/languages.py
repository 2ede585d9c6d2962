"""Which language a path holds, and for each language its grammar, its query and what the query can not say.

One table a language: a row of `LANGUAGES` here and the definitions in `queries/<name>.scm`, our own. Captures:

    @function   a function with a body; a method when the nearest container below says so
    @method     always a method
    @class      class, interface, trait, struct, enum: its functions are methods, its other lines are its outline
    @module     an outline whose functions are functions (a module of Elixir or Ruby)
    @extension  more members for a type defined elsewhere (`impl` of Rust): lends its name, needs no outline
    @namespace  lends its name only
    @type       a type, as @class; one of a line or two without functions is left-over code
    @accessor   a property or macro with code: a function, unless of a line or two
    @name       what a definition is called; @owner what it belongs to, where that is not a node around it (Go)
    @keyword    a word to be looked up in the row's `keywords`, where a grammar has calls for definitions (Elixir)
    @body       where the signature ends
    @header     where it ends, where that is easier said
    @lead       what belongs to the definition below it when it stands directly above: comments, decorators, attributes;
                inside the signature, what is left out of it
    @wrap       a node around a definition that ends with it: `export`, `template <...>`; the definition starts there
    @file       what the comments above document the file at (a `package` clause), or a docstring of the file

Queries hold no predicates: py-tree-sitter 0.26 reads the source for them, which a tree parsed through a callback (the
only way to a time limit) does not keep, and it crashes.

Grammars are imported one at a time, when a file in that language comes: each costs some milliseconds and megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tree_sitter

TEXT: Final = "text"
"""The language of a file that is readable and nothing more is known about."""


@dataclass(frozen=True, slots=True)
class Language:
    """What is known about one language beside its query."""

    name: str
    grammar: str
    """Name of the grammar's Python module."""
    entry: str = "language"
    """The function of that module that returns the grammar."""
    queries: tuple[str, ...] = ()
    """Names of the query files, where it is not one of the language's own name."""
    comments: tuple[str, ...] = ("//", "/*", "*")
    """What a line that is only comment begins with."""
    keywords: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For each capture that has a @keyword beside it, the words that make it a definition."""
    renames: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Replacements that turn a name as written into a qualified name with dots."""
    docstring: re.Pattern[str] | None = None
    """Matches the documentation at the beginning of a body; its one group that takes part is the text."""
    hidden: tuple[re.Pattern[bytes], ...] = ()
    """What the parser does not see, because its grammar would misread what is around it: the one group, at the end."""
    mask: bytes = b" "
    """What stands there instead, for each byte."""
    clauses: bool = False
    """Neighbouring functions of one name are clauses of one function."""


_PYTHON_DOCSTRING: Final = re.compile(
    r"""\s*[rRuU]?(?:\"\"\"(.*?)\"\"\"|'''(.*?)'''|"([^"\n]*)"|'([^'\n]*)')""", re.DOTALL
)
_ELIXIR_DOCSTRING: Final = re.compile(
    r"""do\s(?:(?!\bdef).){0,400}?@moduledoc\s+(?:~[sS])?(?:\"\"\"(.*?)\"\"\"|"([^"\n]*)")""", re.DOTALL
)
_JAVASCRIPT_NAMES: Final = (
    (re.compile(r"^(?:module\.exports|exports|this|window|globalThis)(?:\.|$)"), ""),
    (re.compile(r"\.prototype\b"), ""),
)
_DECLARATOR: Final = (re.compile(r"^\(\**\s*(\w+)\s*\(.*$", re.DOTALL), r"\1")
"""The name in `(*pick(int how))`."""
_MACROS: Final = (
    re.compile(
        rb"\b([A-Z][A-Z0-9_]*(?:INLINE|CONSTEXPR|API|EXPORT|DEPRECATED|NODISCARD)\d*)\b(?=[ \t]+[A-Za-z_~:])",
    ),
    re.compile(rb"\)(?:[ \t]+const)?[ \t]+([A-Z][A-Z0-9_]{2,}(?:\([^()\n]*\))?)(?=\s*\{)"),
)
"""Macros for specifiers before, or attributes behind, a declaration: without them it is one."""
_TESTS: Final = frozenset({"it", "test", "specify", "example", "scenario"})
_TEST_GROUPS: Final = frozenset({"describe", "context", "suite", "feature", "group"})
_JAVASCRIPT_KEYWORDS: Final = {"function": _TESTS, "namespace": _TEST_GROUPS}

LANGUAGES: Final[Mapping[str, Language]] = {
    language.name: language
    for language in (
        Language("bash", "tree_sitter_bash", comments=("#",)),
        Language("c", "tree_sitter_c", renames=(_DECLARATOR,), hidden=_MACROS),
        Language(
            "cpp",
            "tree_sitter_cpp",
            queries=("c", "cpp"),
            renames=(_DECLARATOR, (re.compile(r"\boperator\s+([^()]+?)\s*\(.*$", re.DOTALL), r"operator \1")),
            hidden=_MACROS,
        ),
        Language("csharp", "tree_sitter_c_sharp"),
        Language(
            "elixir",
            "tree_sitter_elixir",
            comments=("#",),
            keywords={
                "function": frozenset(
                    "def defp defmacro defmacrop defguard defguardp defdelegate defn defnp test property".split()
                ),
                "module": frozenset({"defmodule", "defprotocol"}),
                "extension": frozenset({"defimpl"}),
                "namespace": frozenset({"describe"}),
            },
            docstring=_ELIXIR_DOCSTRING,
            clauses=True,
        ),
        Language("go", "tree_sitter_go"),
        Language(
            "haskell",
            "tree_sitter_haskell",
            comments=("--", "{-"),
            renames=((re.compile(r"^\((.*)\)$"), r"\1"),),
            # The grammar takes all from #else to #endif for one token.
            hidden=(
                re.compile(
                    rb"^(#[ \t]*(?:if|ifdef|ifndef|else|elif|endif|define|undef|include|error)\b.*)$", re.MULTILINE
                ),
            ),
            mask=b"-",
            clauses=True,
        ),
        Language("java", "tree_sitter_java"),
        Language(
            "javascript",
            "tree_sitter_javascript",
            queries=("ecmascript", "javascript"),
            renames=_JAVASCRIPT_NAMES,
            keywords=_JAVASCRIPT_KEYWORDS,
        ),
        Language(
            "kotlin",
            "tree_sitter_kotlin",
            # The grammar takes a line of `in1.close()` for more of the line above, for it begins with `in`, and `get {`
            # and `open = true` for a getter and a modifier.
            hidden=(
                re.compile(
                    rb"\n[ \t]*((?:in|as|by|else|where|get|set)[\d_]\w*|(?:get|set)(?=[ \t]*(?:\{|\(\"))"
                    rb"|(?:get|set|open|data|inner|value|inline|internal)(?=[ \t]*=[^=]))"
                ),
            ),
            mask=b"x",
        ),
        Language("lua", "tree_sitter_lua", comments=("--",), renames=((re.compile(r"""\[["'](.*)["']\]"""), r".\1"),)),
        Language("php", "tree_sitter_php", "language_php", comments=("//", "/*", "*", "#")),
        Language("python", "tree_sitter_python", comments=("#",), docstring=_PYTHON_DOCSTRING),
        Language(
            "ruby",
            "tree_sitter_ruby",
            comments=("#",),
            keywords={
                "function": _TESTS | {"define_method", "define_singleton_method", "task"},
                "namespace": _TEST_GROUPS | {"namespace"},
            },
            renames=((re.compile(r"^:"), ""),),
        ),
        Language(
            "rust", "tree_sitter_rust", renames=((re.compile(r"^(?:&\s*(?:'\w+\s+)?|mut\s+|dyn\s+|\*const\s+)+"), ""),)
        ),
        Language("scala", "tree_sitter_scala"),
        Language("swift", "tree_sitter_swift"),
        Language(
            "tsx",
            "tree_sitter_typescript",
            "language_tsx",
            queries=("ecmascript", "typescript"),
            renames=_JAVASCRIPT_NAMES,
            keywords=_JAVASCRIPT_KEYWORDS,
        ),
        Language(
            "typescript",
            "tree_sitter_typescript",
            "language_typescript",
            queries=("ecmascript", "typescript"),
            renames=_JAVASCRIPT_NAMES,
            keywords=_JAVASCRIPT_KEYWORDS,
        ),
        Language("zig", "tree_sitter_zig"),
    )
}
"""Every language that is cut at its definitions, but Markdown, which has its own reader in `chunk.py`."""

_EXTENSIONS: Final[Mapping[str, str]] = {
    extension: language
    for language, extensions in {
        "bash": "sh bash bats zsh ksh ebuild eclass",
        "c": "c",
        "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp inl tpp ixx cppm cu cuh ino",
        "csharp": "cs csx",
        "elixir": "ex exs",
        "go": "go",
        "haskell": "hs hs-boot",
        "java": "java",
        "javascript": "js mjs cjs jsx",
        "kotlin": "kt kts",
        "lua": "lua rockspec luau",
        "markdown": "md markdown mdown mkd mdx qmd rmd",
        "php": "php phtml php5 php7 inc",
        "python": "py pyi pyw pyx pxd bzl star",
        "ruby": "rb rake gemspec ru podspec jbuilder rbi",
        "rust": "rs",
        "scala": "scala sc sbt",
        "swift": "swift",
        "tsx": "tsx",
        "typescript": "ts mts cts",
        "zig": "zig zon",
        # Cut into plain windows of lines; named so that people can filter by them.
        "asm": "asm s",
        "awk": "awk",
        "batch": "bat cmd",
        "clojure": "clj cljs cljc edn",
        "cmake": "cmake",
        "css": "css scss sass less styl",
        "csv": "csv tsv",
        "dart": "dart",
        "dockerfile": "dockerfile containerfile",
        "emacs-lisp": "el",
        "erlang": "erl hrl",
        "fsharp": "fs fsi fsx",
        "graphql": "graphql gql",
        "groovy": "groovy gradle",
        "hcl": "tf tfvars hcl nomad",
        "html": "html htm xhtml hbs mustache ejs erb haml jinja j2 jinja2 liquid twig heex eex leex slim",
        "ini": "ini cfg conf properties editorconfig service",
        "json": "json jsonc json5 jsonl ndjson webmanifest",
        "julia": "jl",
        "lisp": "lisp lsp scm ss rkt",
        "make": "mk mak make",
        "matlab": "mat",
        "nim": "nim",
        "nix": "nix",
        "objective-c": "m mm",
        "ocaml": "ml mli",
        "perl": "pl pm t",
        "powershell": "ps1 psm1 psd1",
        "proto": "proto thrift capnp fbs",
        "query": "scm",
        "r": "r",
        "rst": "rst adoc asciidoc org textile",
        "shader": "glsl vert frag hlsl wgsl metal",
        "solidity": "sol",
        "sql": "sql psql ddl",
        "svelte": "svelte astro",
        "tex": "tex sty cls bib",
        "text": "txt text log patch diff",
        "toml": "toml",
        "vbnet": "vb vbs",
        "verilog": "v sv svh vhd vhdl",
        "vim": "vim",
        "vue": "vue",
        "xml": "xml xsd xsl xslt svg plist csproj fsproj vbproj props targets wsdl pom storyboard xib",
        "yaml": "yaml yml",
    }.items()
    for extension in extensions.split()
}

_NAMES: Final[Mapping[str, str]] = {
    name: language
    for language, names in {
        "bash": ".bashrc .bash_profile .bash_aliases .profile .zshrc .zshenv .zprofile pkgbuild apkbuild .envrc",
        "cmake": "cmakelists.txt",
        "dockerfile": "dockerfile containerfile",
        "elixir": "mix.lock",
        "groovy": "jenkinsfile",
        "ini": ".editorconfig .gitconfig .gitmodules .npmrc .flake8 .pylintrc .coveragerc",
        "json": ".babelrc .eslintrc .prettierrc composer.lock flake.lock",
        "make": "makefile gnumakefile justfile .justfile",
        "python": "sconstruct sconscript wscript build.bazel tiltfile",
        "ruby": "gemfile rakefile guardfile podfile fastfile vagrantfile brewfile capfile dangerfile appfile",
        "text": "license licence copying notice authors contributors codeowners readme changelog changes news todo"
        " version .gitignore .gitattributes .dockerignore .ignore .npmignore .eslintignore .prettierignore"
        " go.mod go.sum go.work requirements.txt constraints.txt procfile",
        "toml": "cargo.lock poetry.lock uv.lock pipfile",
        "yaml": ".clang-format .clang-tidy .rubocop.yml pubspec.lock",
    }.items()
    for name in names.split()
}
"""File names, lower-cased, that say more than their extension."""

_SHEBANG: Final = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?([A-Za-z]+)")
_INTERPRETERS: Final[Mapping[bytes, str]] = {
    interpreter.encode(): language
    for language, interpreters in {
        "awk": "awk gawk mawk",
        "bash": "sh bash zsh dash ksh ash bats",
        "elixir": "elixir",
        "groovy": "groovy",
        "haskell": "runhaskell runghc stack",
        "javascript": "node nodejs bun",
        "julia": "julia",
        "kotlin": "kotlin",
        "lua": "lua luajit texlua",
        "make": "make",
        "perl": "perl",
        "php": "php",
        "powershell": "pwsh",
        "python": "python pypy uv",
        "r": "Rscript",
        "ruby": "ruby rake jruby",
        "scala": "scala amm",
        "swift": "swift",
        "typescript": "deno tsx",
    }.items()
    for interpreter in interpreters.split()
}

_CPP_HEADER: Final = re.compile(
    rb"^[ \t]*(?:template\s*<|(?:inline\s+)?namespace\b|class\s+[\w\s]+[{:;]|using\s+(?:namespace\b|\w+\s*=)"
    rb"|(?:public|private|protected):|#\s*include\s*<[a-z_]+>)|\bstd::|\bconstexpr\b",
    re.MULTILINE,
)
"""What only a header of C++ holds."""
_OBJECTIVE_C: Final = re.compile(rb"^\s*(?:@interface|@protocol|@implementation|@class|#\s*import)\b", re.MULTILINE)


def language_of(path: str, head: bytes) -> str | None:
    """Return the language of the file at PATH whose first bytes (some thousands, or all) are HEAD.

    By file name, then extension, then the interpreter named in the first line. None where nothing says; such a file, if
    it is text, is cut as `TEXT`.
    """
    name = PurePosixPath(path).name.lower()
    if language := _NAMES.get(name):
        return language
    stem, dot, extension = name.rpartition(".")
    if dot:
        if extension == "h":
            if _OBJECTIVE_C.search(head):
                return "objective-c"
            return "cpp" if _CPP_HEADER.search(head) else "c"
        if language := _EXTENSIONS.get(extension):
            return language
    if language := _NAMES.get(stem or name):  # Dockerfile.dev, Makefile.am
        return language
    if match := _SHEBANG.match(head):
        return _INTERPRETERS.get(match[1])
    return None


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language ready to parse with: compiled once a process."""

    language: Language
    parser: tree_sitter.Parser
    query: tree_sitter.Query


@cache
def grammar(name: str) -> Grammar:
    """Return the compiled grammar and query of the language called NAME.

    Errors: `KeyError` for a name that is not in `LANGUAGES`.
    """
    import tree_sitter

    language = LANGUAGES[name]
    loaded = tree_sitter.Language(getattr(import_module(language.grammar), language.entry)())
    folder = Path(__file__).parent / "queries"
    source = "\n".join((folder / f"{query}.scm").read_text("utf-8") for query in language.queries or (name,))
    return Grammar(language, tree_sitter.Parser(loaded), tree_sitter.Query(loaded, source))
