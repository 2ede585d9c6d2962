"""Kinds of files by the names that ripgrep gives them: `-t py`, `-T md`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from codesearch.errors import UsageError

TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(globs.split())
    for name, globs in {
        "asm": "*.asm *.s *.S",
        "awk": "*.awk",
        "bazel": "*.bazel *.bzl BUILD WORKSPACE",
        "c": "*.[chH] *.cats",
        "clojure": "*.clj *.cljc *.cljs *.cljx",
        "cmake": "*.cmake CMakeLists.txt",
        "cpp": "*.[CH] *.cc *.[ch]pp *.[ch]xx *.hh *.inl *.ipp",
        "cs": "*.cs",
        "csharp": "*.cs",
        "css": "*.css *.scss",
        "cuda": "*.cu *.cuh",
        "dart": "*.dart",
        "docker": "*Dockerfile*",
        "elixir": "*.ex *.eex *.exs *.heex *.leex",
        "elm": "*.elm",
        "erlang": "*.erl *.hrl",
        "fsharp": "*.fs *.fsx *.fsi",
        "go": "*.go",
        "gradle": "*.gradle *.gradle.kts",
        "graphql": "*.graphql *.graphqls",
        "groovy": "*.groovy *.gradle",
        "h": "*.h *.hh *.hpp",
        "haskell": "*.hs *.lhs *.cpphs *.c2hs *.hsc",
        "html": "*.htm *.html *.ejs",
        "java": "*.java *.jsp *.jspx *.properties",
        "js": "*.js *.jsx *.vue *.cjs *.mjs",
        "json": "*.json *.jsonc composer.lock",
        "jsonl": "*.jsonl",
        "julia": "*.jl",
        "jupyter": "*.ipynb *.jpynb",
        "kotlin": "*.kt *.kts",
        "less": "*.less",
        "lisp": "*.el *.jl *.lisp *.lsp *.sc *.scm",
        "lua": "*.lua",
        "make": "*.mk *.mak [Gg][Nn][Uu]makefile [Mm]akefile Makefile.*",
        "markdown": "*.markdown *.md *.mdown *.mkdn *.mkd *.mdwn *.mdx",
        "md": "*.markdown *.md *.mdown *.mkdn *.mkd *.mdwn *.mdx",
        "nim": "*.nim *.nimf *.nimble *.nims",
        "nix": "*.nix",
        "objc": "*.h *.m",
        "objcpp": "*.h *.mm",
        "ocaml": "*.ml *.mli *.mll *.mly",
        "perl": "*.perl *.pl *.PL *.plh *.plx *.pm *.t",
        "php": "*.php *.php3 *.php4 *.php5 *.php7 *.php8 *.phtml",
        "protobuf": "*.proto",
        "ps": "*.cdxml *.ps1 *.ps1xml *.psd1 *.psm1",
        "puppet": "*.epp *.erb *.pp *.rb",
        "py": "*.py *.pyi",
        "python": "*.py *.pyi",
        "r": "*.[rR] *.Rmd *.Rnw",
        "rst": "*.rst",
        "ruby": "*.gemspec *.rb *.rbw config.ru Gemfile .irbrc Rakefile",
        "rust": "*.rs",
        "sass": "*.sass *.scss",
        "scala": "*.scala *.sbt",
        "sh": "*.bash *.bashrc *.csh *.fish *.ksh *.sh *.zsh .bash_profile .bashrc .profile .zshrc",
        "solidity": "*.sol",
        "sql": "*.sql *.psql",
        "svelte": "*.svelte *.svelte.ts",
        "swift": "*.swift",
        "terraform": "*.tf *.tf.json *.tfvars *.tfvars.json",
        "tex": "*.tex *.ltx *.cls *.sty *.bib *.dtx *.ins",
        "thrift": "*.thrift",
        "toml": "*.toml Cargo.lock",
        "ts": "*.ts *.tsx *.cts *.mts",
        "txt": "*.txt",
        "typescript": "*.ts *.tsx *.cts *.mts",
        "vala": "*.vala",
        "vb": "*.vb",
        "verilog": "*.v *.vh *.sv *.svh",
        "vim": "*.vim .vimrc vimrc _vimrc",
        "vue": "*.vue",
        "xml": "*.xml *.dtd *.xsl *.xslt *.xsd *.xjb *.rng *.sch *.xhtml",
        "yaml": "*.yaml *.yml",
        "zig": "*.zig",
        "zsh": "*.zsh .zshenv .zlogin .zlogout .zprofile .zshrc",
    }.items()
}
"""Name to globs, as in ripgrep 14's `--type-list`, without the types that hold no text that is indexed."""


def globs_of(names: Iterable[str], *, wanted: bool = True) -> tuple[str, ...]:
    """Return the globs of the types NAMES, each with `!` in front where they are not WANTED.

    Raises:
        UsageError: there is no such type.
    """
    found: list[str] = []
    for name in names:
        globs = TYPES.get(name.lower())
        if globs is None:
            near = difflib.get_close_matches(name.lower(), TYPES, 3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "`codesearch types` lists all."
            raise UsageError(f"{name} is no type of file. {hint}")
        found += globs if wanted else (f"!{glob}" for glob in globs)
    return tuple(found)
