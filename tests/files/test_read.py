"""What is never indexed by its name or content, and what only looks as if."""

from __future__ import annotations

import base64
import gzip
import os
import random
from pathlib import Path

import pytest
from conftest import Write

from codesearch.files import FileEntry, Skip, explain
from codesearch.settings import Settings
from codesearch.why import Why

KEY = base64.encodebytes(random.Random(0).randbytes(1200)).decode()
"""The body of a private key, as far as looks go."""


def pem(kind: str, body: str = KEY) -> str:
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n"


def why(root: Path, path: str, content: str | bytes = "x = 1\n") -> Why | None:
    """Return why PATH with this CONTENT is not indexed; None means that it is."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    found = explain(root, path, Settings(hidden=True))
    if isinstance(found, Skip):
        assert found.reason.startswith(found.why)
        return found.why
    return None


@pytest.mark.parametrize(
    "path",
    """.env .env.local .env.production .ENV .envrc prod.env config/.env id_rsa keys/id_ed25519 server.pem tls/server.key
    cert.p12 cert.PFX app.jks app.keystore vault.kdbx .netrc _netrc .npmrc .pypirc .git-credentials .htpasswd .pgpass
    .aws/credentials .aws/config .ssh/config .kube/config .docker/config.json credentials credentials.json secrets.yaml
    client_secret_123.apps.json service-account.json my/service_account_prod.json terraform.tfvars prod.auto.tfvars
    terraform.tfstate terraform.tfstate.backup .terraformrc""".split(),
)
def test_secrets_by_name(tmp_path: Path, path: str) -> None:
    assert why(tmp_path, path) is Why.SECRET
    assert why(tmp_path, path, "") is Why.SECRET


@pytest.mark.parametrize(
    "path",
    """.env.example .env.sample .env.template .env.dist example.env env.py environment.ts id_rsa.pub credentials.py
    secrets.go test_credentials.rb keystore.java service_account.py aws/credentials.ts ssh/config.py variables.tf
    token.rs password.kt npmrc.md .github/workflows/ci.yml .ssh.md""".split(),
)
def test_names_that_only_sound_like_secrets(tmp_path: Path, path: str) -> None:
    assert why(tmp_path, path) is None


@pytest.mark.parametrize(
    "content",
    [
        pem("PRIVATE KEY"),
        pem("RSA PRIVATE KEY"),
        pem("OPENSSH PRIVATE KEY"),
        pem("PGP PRIVATE KEY BLOCK", "Version: GnuPG v2\n\n" + KEY),
        pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,8A3F\n\n" + KEY),
        '{"type": "service_account", "private_key": "' + pem("PRIVATE KEY").replace("\n", "\\n") + '"}',
        "# fixtures\nKEY = '''" + pem("EC PRIVATE KEY") + "'''\n",
    ],
    ids=["pkcs8", "rsa", "openssh", "pgp", "encrypted", "json", "in code"],
)
def test_private_keys_by_content(tmp_path: Path, content: str) -> None:
    assert why(tmp_path, "anything.py", content) is Why.SECRET


def test_code_that_knows_how_a_key_begins_is_code(tmp_path: Path) -> None:
    parser = (
        'BEGIN = "-----BEGIN RSA PRIVATE KEY-----"\nEND = "-----END RSA PRIVATE KEY-----"\n\ndef parse(text): ...\n'
    )
    assert why(tmp_path, "parser.py", parser) is None
    assert why(tmp_path, "chain.crt", pem("CERTIFICATE")) is None


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("logo.png", ""),
        ("Archive.ZIP", ""),
        ("libx.so", ""),
        ("model.safetensors", ""),
        ("noextension", b"\x7fELF\x02\x01\x01\0"),
        ("noextension", b"text and then\0 a NUL"),
        ("data.txt", gzip.compress(b"x" * 1000)),
        ("paper.txt", b"%PDF-1.7\n"),
        ("noise.py", bytes(random.Random(1).choices(range(1, 256), k=4000))),
        ("weights.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
    ],
)
def test_binaries(tmp_path: Path, path: str, content: bytes | str) -> None:
    assert why(tmp_path, path, content) is Why.BINARY


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("empty.py", b""),
        ("latin.py", "# déjà vu\n".encode("latin-1")),
        ("greek.py", "# Ελληνικά\n".encode("iso-8859-7") * 50),
        ("shift.py", "# 日本語\n".encode("shift-jis") * 50),
        ("bom.py", b"\xef\xbb\xbfx = 1\n"),
        ("utf16.cs", "class A { }\n".encode("utf-16")),
        ("old_mac.c", b"int main() { return 0; }\r" * 100),
        ("form_feed.el", b"(defun a ())\n\f\n(defun b ())\n"),
        ("escape.sh", b"echo '\x1b[31mred\x1b[0m'\n"),
        ("video.ts", b"export const x = 1\n"),
        ("key.go", b"package key\n"),
        ("Makefile", b"all:\n"),
    ],
)
def test_text_in_any_encoding_is_text(tmp_path: Path, path: str, content: bytes) -> None:
    assert why(tmp_path, path, content) is None


def test_minified_is_what_has_most_of_itself_in_long_lines(tmp_path: Path) -> None:
    bundle = "!function(e,t){" + "e.x=t," * 400 + "}()"
    source = "function f(a) {\n  return a + 1\n}\n" * 100
    assert why(tmp_path, "a.min.js") is Why.MINIFIED
    assert why(tmp_path, "bundle.js", "/* license */\n" + bundle) is Why.MINIFIED
    assert why(tmp_path, "data.py", "DATA = [" + "1234567, " * 500 + "]\n") is Why.MINIFIED
    assert why(tmp_path, "source.js", source) is None
    assert why(tmp_path, "inlined.js", source + bundle) is None
    assert why(tmp_path, "prose.md", "A paragraph on one line, as many write them. " * 60) is None
    assert why(tmp_path, "utf16.js", bundle.encode("utf-16")) is Why.MINIFIED
    assert why(tmp_path, "old_mac.js", source.replace("\n", "\r")) is None


@pytest.mark.parametrize(
    "path",
    """package-lock.json web/yarn.lock Cargo.lock poetry.lock uv.lock go.sum api/v1/service.pb.go service_pb2.py
    service_pb2_grpc.py main.js.map Form1.Designer.cs model.g.dart""".split(),
)
def test_generated_by_name(tmp_path: Path, path: str) -> None:
    assert why(tmp_path, path) is Why.GENERATED


@pytest.mark.parametrize(
    "head",
    [
        "// Code generated by protoc-gen-go. DO NOT EDIT.\n",
        "// Copyright 2024\n//\n// Code generated by mockery v2.32. DO NOT EDIT.\n\npackage mocks\n",
        "# -*- coding: utf-8 -*-\n# Generated by the protocol buffer compiler.  DO NOT EDIT!\n",
        "/**\n * Autogenerated by Thrift Compiler (0.9.3)\n *\n * DO NOT EDIT UNLESS YOU ARE SURE\n */\n",
        "#pragma once\n\n/* @generated by relay-compiler */\n",
        "# @generated SignedSource<<deadbeef>>\n",
        "//------\n// <auto-generated>\n//     This code was generated by a tool.\n",
        "<!-- This file is automatically generated. -->\n",
        "-- This file was auto-generated,\n-- do not edit\n",
        "# AUTO-GENERATED FILE, DO NOT MODIFY\n",
        "<?php\n\n// autoload_static.php @generated by Composer\n",
        '"""\n  Pets\n\n  Generated by OpenAPI Generator (7.1)\n\n  Do not edit by hand.\n"""\n',
        "/*\n   This file was automatically generated.\n*/\n",
    ],
)
def test_generated_by_what_it_says_at_the_top(tmp_path: Path, head: str) -> None:
    assert why(tmp_path, "x.go", head + "x = 1\n" * 20) is Why.GENERATED
    assert why(tmp_path, "y.go", "x = 1\n" + head) is None, "only what comes before the code speaks for the file"
    assert why(tmp_path, "README.md", head) is None, "prose is worth finding, whoever wrote it"


@pytest.mark.parametrize(
    "source",
    [
        'HEADER = "// Code generated by our tool. DO NOT EDIT."\n',
        'class Emitter {\n  string Head = """\n      // <auto-generated>\n      """;\n}\n',
        "// Normal distribution.\n#include <cmath>\n// BEGIN GENERATED CODE; DO NOT EDIT\n",
        "# Writes the code generated for each message.\n",
        "# Do not edit the table by hand; see docs.\n",
        "@generated_field\ndef f(): ...\n",
        "// Tests for generated code\nclass Test {}\n",
    ],
)
def test_code_about_generating_is_code(tmp_path: Path, source: str) -> None:
    assert why(tmp_path, "x.py", source) is None


def test_a_file_that_can_not_be_read_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("x")
    if os.geteuid() == 0:

        def refuse(*arguments: object, **options: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    else:
        (tmp_path / "a.py").chmod(0)
    monkeypatch.setattr(os, "supports_dir_fd", os.supports_dir_fd | {os.open})
    assert explain(tmp_path, "a.py", Settings()) == Skip("a.py", Why.UNREADABLE, "Permission denied")


def test_a_hidden_secret_is_called_a_secret(tmp_path: Path, write: Write) -> None:
    """Somebody who asks why `.env` is missing must not be led to try `--hidden`."""
    write(tmp_path, {".env": "", ".hidden.py": "", ".gitignore": "prod.env", "prod.env": ""})
    for path, expected in {".env": Why.SECRET, "prod.env": Why.SECRET, ".hidden.py": Why.HIDDEN}.items():
        found = explain(tmp_path, path, Settings())
        assert isinstance(found, Skip)
        assert found.why is expected


def test_an_ordinary_file_is_a_file_entry(tmp_path: Path, write: Write) -> None:
    write(tmp_path, {"a.py": "x = 1\n"})
    assert isinstance(explain(tmp_path, "a.py", Settings()), FileEntry)
