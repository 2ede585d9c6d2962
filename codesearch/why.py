"""Why a file is not indexed: the reasons, and the evidence for those that lie in its name or content.

Pure: names and bytes in, a reason out. `by_name` is asked for every file of every scan, so it is look-ups; `by_content`
only for files whose content is read anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum


class Why(StrEnum):
    """Why a file or folder is not indexed."""

    IGNORED = "ignored"
    """An ignore file drops it."""
    HIDDEN = "hidden"
    """Its name begins with a dot."""
    LINK = "symbolic link"
    """What it points to lies in ROOT and is judged there."""
    INDEX = "index folder"
    """An index, this one or another."""
    MISSING = "missing"
    """There is no such file."""
    FOLDER = "folder"
    """Its files are judged one by one."""
    OUTSIDE = "outside the root"
    """A symbolic link that leads out of ROOT, or a path that does."""
    BROKEN = "broken symbolic link"
    """It points to nothing."""
    SPECIAL = "not a regular file"
    """A named pipe, a socket or a device."""
    SUBMODULE = "submodule"
    """A repository of its own: index it by itself."""
    WORKTREE = "second worktree"
    """Another checkout of a repository that is in scope already."""
    INSTALLED = "installed packages"
    """A folder that tools fill: `node_modules`, a virtual environment, a cache. `!name/` in `.ignore` takes it back."""
    SECRET = "secret"
    """Keys, passwords and tokens, by name or content. Nothing takes one back."""
    BINARY = "binary"
    """Not text."""
    MINIFIED = "minified"
    """Most of it is in very long lines."""
    GENERATED = "generated"
    """Written by a tool: lock files, source maps, files that say so at the top."""
    TOO_LARGE = "too large"
    """More bytes than the limit."""
    UNREADABLE = "unreadable"
    """No permission, or an error of the disk."""
    GIT = "git refused"
    """Nothing is skipped: a repository is walked without git's help."""


QUIET = frozenset({Why.IGNORED, Why.HIDDEN, Why.LINK, Why.INDEX, Why.MISSING, Why.FOLDER})
"""What nobody wonders about."""

LONG_LINE = 1_000
"""Bytes. Nobody writes such lines of code by hand; minifiers and data files have little else."""

LONG_PROSE_LINE = 5_000
"""Bytes, for text that is written one paragraph a line."""

_HEAD = 8_000
"""Bytes looked at for NULs and control characters, as many as git looks at."""

_MAX_CONTROL_SHARE = 0.05
"""Of the head's bytes. Text has none but white space, bells, escapes and form feeds; noise has a tenth."""

_PROSE = frozenset({"md", "markdown", "mdx", "rst", "txt", "adoc", "asciidoc", "org", "tex"})

_BINARY = frozenset(
    # images, audio, video, fonts, three dimensions
    """ai apng avif bmp cr2 cur dds dng eps exr fits gif heic heif hdr icns ico jp2 jpeg jpg jxl nef png psd tga tif
    tiff webp xcf 3gp aac aiff amr au avi flac flv m4a m4v mid midi mkv mov mp2 mp3 mp4 mpeg mpg oga ogg ogv opus
    wav webm wma wmv eot otf ttc ttf woff woff2 3ds blend fbx glb stl
    """
    # archives, disk images, packages
    """7z apk ar br bz2 cab cpio crx deb dmg ear egg gem gz img ipa iso jar lz lz4 lzma msi nupkg rar rpm tar tbz2
    tgz txz vsix war whl xapk xpi xz z zip zst
    """
    # programs and what compilers leave
    """a beam bin class dex dll dylib elc elf exe hi ilk ko la lib lo nib o obj pch pdb pyc pyd pyo rlib rmeta so swo
    swp wasm
    """
    # documents, data, models
    """doc docx epub mobi numbers odp ods odt pages pdf ppt pptx xls xlsb xlsx accdb arrow avro ckpt db dbf db3 fdb
    feather frm gguf ggml h5 hdf5 joblib keras lmdb mat mdb msgpack myd myi npy npz onnx orc parquet pb pickle pkl
    pt pth rdb rds safetensors sas7bdat shp sqlite sqlite3 tfrecord tflite torrent
    """.split()
)

_SECRET_EXTENSIONS = frozenset(
    """jks kdb kdbx key keychain keystore keytab ovpn p12 p8 pem pfx ppk tfstate tfvars
    """.split()
)

_SECRET_NAMES = frozenset(
    # of tools, in the home folder or next to the code
    """.bash_history .boto .dockercfg .esmtprc .fetchmailrc .git-credentials .htpasswd .msmtprc .my.cnf .mylogin.cnf
    .netrc .npmrc .pgpass .psql_history .pypirc .python_history .s3cfg .terraformrc .vault-token .vault_pass
    .vault_pass.txt .yarnrc .zsh_history _netrc htpasswd kubeconfig terraform.rc terraform.tfstate.backup
    vault_pass.txt
    """
    # keys
    """id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk id_rsa id_xmss
    """
    # credentials, but not code that deals with them
    """application_default_credentials.json credentials credentials.csv credentials.ini credentials.json
    credentials.tfrc.json credentials.toml credentials.xml credentials.yaml credentials.yml credentials.yml.enc
    secrets.ini secrets.json secrets.toml secrets.yaml secrets.yml
    """.split()
)

_SECRET_FOLDERS = frozenset({".aws", ".azure", ".gcloud", ".gnupg", ".kube", ".ssh"})
_SECRET_PATHS = (".docker/config.json", ".config/gh/hosts.yml", ".cargo/credentials.toml", ".gem/credentials")
_SECRET_JSON = re.compile(r"(client[-_]?secret|service[-_]?account)[\w.-]*\.json", re.ASCII)

_ENV_TEMPLATES = ("dist", "default", "defaults", "example", "sample", "template", "tmpl", "tpl")

_GENERATED_NAMES = frozenset(
    """bun.lock cargo.lock cartfile.resolved composer.lock conan.lock deno.lock flake.lock gemfile.lock go.sum
    go.work.sum gradle.lockfile mix.lock npm-shrinkwrap.json package-lock.json package.resolved packages.lock.json
    paket.lock pdm.lock pipfile.lock pixi.lock pnpm-lock.yaml podfile.lock poetry.lock pubspec.lock shard.lock
    uv.lock yarn.lock
    """.split()
)
_GENERATED_ENDINGS = tuple(
    # protocol buffers
    """.pb.go .pb.gw.go .pb.cc .pb.h .pb.swift .pb.dart .pbobjc.h .pbobjc.m _pb.js _pb.d.ts _pb2.py _pb2.pyi
    _pb2_grpc.py _pb.rb
    """
    # designers and source generators of .NET and Dart
    """.designer.cs .designer.vb .g.cs .g.i.cs .generated.cs .g.dart .freezed.dart .gr.dart
    """
    # source maps, and what tests compare with
    """.map .snap
    """.split()
)
_MINIFIED_ENDINGS = (".min.js", ".min.mjs", ".min.cjs", ".min.css", "-min.js", "-min.css", ".min.html", ".min.json")
_ENDINGS = _GENERATED_ENDINGS + _MINIFIED_ENDINGS


def by_name(path: str) -> tuple[Why, str] | None:
    """Return the reason, with what shows it, for which a file called PATH (with forward slashes) is never indexed."""
    folders, _, name = path.lower().rpartition("/")
    extension = name.rpartition(".")[2]
    if name in _SECRET_NAMES or extension in _SECRET_EXTENSIONS or _is_env(name):
        return Why.SECRET, name
    if extension == "json" and _SECRET_JSON.fullmatch(name):
        return Why.SECRET, name
    if "." in folders and (not _SECRET_FOLDERS.isdisjoint(folders.split("/")) or path.lower().endswith(_SECRET_PATHS)):
        return Why.SECRET, path
    if extension in _BINARY and extension != name:
        return Why.BINARY, f".{extension}"
    if name.endswith(_ENDINGS):
        return (Why.MINIFIED if name.endswith(_MINIFIED_ENDINGS) else Why.GENERATED), name
    if name in _GENERATED_NAMES:
        return Why.GENERATED, name
    return None


def by_content(path: str, content: bytes) -> tuple[Why, str] | None:
    """Return the reason, with what shows it, for which a file with this CONTENT is never indexed."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        with suppress(UnicodeDecodeError):  # UTF-16 is text, though every other byte of it is NUL
            content = content.decode("utf-16").encode("utf-8", "surrogatepass")
    head = content[:_HEAD]
    if (magic := _magic(head)) is not None:
        return Why.BINARY, magic
    if _is_private_key(content):
        return Why.SECRET, "holds a private key"
    if content.startswith(_LFS):
        return Why.BINARY, "a Git LFS pointer: the content is elsewhere"
    prose = path.lower().rpartition(".")[2] in _PROSE
    if not prose and (mark := _generated_mark(head)) is not None:  # a generated README still explains
        return Why.GENERATED, mark
    limit = LONG_PROSE_LINE if prose else LONG_LINE
    if len(content) > limit:
        lengths = list(map(len, content.splitlines()))
        long = sum(length for length in lengths if length > limit) if max(lengths) > limit else 0
        if 2 * long > len(content):
            return Why.MINIFIED, f"{100 * long // len(content)} % of it is in lines of more than {limit} bytes"
    return None


def _is_env(name: str) -> bool:
    """`.env`, `.env.local`, `.envrc`, `prod.env`; not `.env.example`."""
    if name.startswith(".env"):
        return not name.endswith(_ENV_TEMPLATES)
    return name.endswith(".env") and not name.startswith(_ENV_TEMPLATES)


_LFS = b"version https://git-lfs.github.com/spec/"

_MAGIC = (
    (b"%PDF-", "PDF"),
    (b"{\\rtf", "RTF"),
    (b"%!PS-Adobe", "PostScript"),
    (b"!<arch>\n", "ar archive"),
    (b"PK\x03\x04", "zip archive"),
    (b"PK\x05\x06", "zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh9", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x7fELF", "ELF"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"SQLite format 3", "SQLite"),
    (b"Obj\x01", "Avro"),
    (b"PAR1", "Parquet"),
    (b"-----BEGIN PGP MESSAGE", "encrypted"),
    (b"$ANSIBLE_VAULT;", "encrypted"),
    (b"age-encryption.org/", "encrypted"),
)

_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\v\x07\x08\x1b")) + b"\x7f"


def _magic(head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if b"\0" in head:
        return "NUL bytes"
    controls = len(head) - len(head.translate(None, _CONTROL))
    if controls > _MAX_CONTROL_SHARE * len(head):
        return "control characters"
    return None


_KEY_BEGINS = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(rb"[A-Za-z0-9+/]{60}")
_KEY_REACH = 400
"""Bytes between the first line of a key and its body: room for the headers of an encrypted one."""


def _is_private_key(content: bytes) -> bool:
    """Tell a key from code that only knows how keys begin: a line of its body must follow."""
    return b"PRIVATE KEY" in content and any(
        _KEY_BODY.search(content, begin.end(), begin.end() + _KEY_REACH) for begin in _KEY_BEGINS.finditer(content)
    )


_FIRST_LINES = 40
"""Lines in which a file may say that it is generated: a long licence, then that."""

_PREAMBLE = re.compile(rb"$|<\?|<!doctype|['\"]use \w+['\"];?$|#!|#\[|# *(?:pragma|ifndef|define)\b", re.IGNORECASE)
"""Lines that may come before the comments: processing instructions, directives, attributes, include guards."""

_LINE_COMMENT = re.compile(rb"//|#(?![a-z\[])|--|;|%|\*|'|!|@?rem ", re.IGNORECASE)
_BLOCK_COMMENT = (
    (b"/*", b"*/"),
    (b"<!--", b"-->"),
    (b'"""', b'"""'),
    (b"'''", b"'''"),
    (b"{-", b"-}"),
    (b"(*", b"*)"),
    (b"<#", b"#>"),
    (b"--[[", b"]]"),
    (b"=begin", b"=end"),
)

_SAYS_GENERATED = re.compile(
    rb"@generated\b|<auto-?generated|\bautogenerated by\b"
    rb"|\bcode generated .{0,200}?do not edit"
    rb"|\bthis (?:file|code) (?:is|was|has been) (?:auto-?|automatically |machine[- ])generated\b"
    rb"|\b(?:(?:auto-?|automatically |machine[- ])generated|generated (?:by|from|code|file))\b"
    rb".{0,200}?\bdo not (?:edit|modify|change)"
    rb"|\bdo not (?:edit|modify|change)\b.{0,200}?\b(?:auto-?|automatically |machine[- ])generated\b",
    re.IGNORECASE,
)


def _generated_mark(head: bytes) -> str | None:
    """Return what the comments before the first line of code say about a tool having written the file."""
    said = re.sub(rb"[\s*/#;%]+", b" ", b" ".join(_opening_comments(head.splitlines()[:_FIRST_LINES])))
    match = _SAYS_GENERATED.search(said)
    return match[0].decode("utf-8", "replace")[:100] if match else None


def _opening_comments(lines: list[bytes]) -> Iterator[bytes]:
    end = b""
    for line in map(bytes.strip, lines):
        if not end:
            block = next(((start, end) for start, end in _BLOCK_COMMENT if line.startswith(start)), None)
            if block is not None:
                line, end = line[len(block[0]) :], block[1]
            elif _PREAMBLE.match(line):
                continue
            elif not _LINE_COMMENT.match(line):
                return
        yield line
        if end and end in line:
            end = b""
