"""The tables of the database; migrations bring an older one to this state (a test compares). Times are seconds since
1970 in UTC; digests are SHA-256 in hexadecimal."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = MetaData(naming_convention=NAMES)

# A model is its weights and its rules: a changed rule makes another one.
models = Table(
    "models",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("identity", String(128), nullable=False),
    Column("rules_identity", String(64), nullable=False),
    Column("class_names", JSON, nullable=False),
    Column("rules", JSON, nullable=False),
    Column("first_seen", Double, nullable=False),
    UniqueConstraint("identity", "rules_identity", name="uq_models_identity"),
)

# `kind` is the media type; `dropped` the time when retention took the file away.
images = Table(
    "images",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("dropped", Double),
)

# `request_key`: what the sender calls the image, so that sending it again gives the same answer.
answers = Table(
    "answers",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("uid", String(32), nullable=False, unique=True),
    Column("request_key", String(200), unique=True),
    Column("image", String(64), ForeignKey("images.sha256"), nullable=False, index=True),
    Column("model", Integer, ForeignKey("models.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("source", String(20), nullable=False),
    Column("coil", Text, index=True),
    Column("position_m", Double),
    Column("across_m", Double),
    Column("created", Double, nullable=False, index=True),
    Column("seconds", Double, nullable=False),
    Column("brightness", Double, nullable=False),
    Column("uncertainty", Double, nullable=False, index=True),
    Column("familiarity", Double),
    Column("num_defects", Integer, nullable=False),
    Column("verdict", String(10), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("classes", JSON, nullable=False),
)

# The classes that are present in an answer, to look answers up by.
found = Table(
    "found",
    METADATA,
    Column("answer", Integer, ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True),
    Column("class_name", Text, primary_key=True),
    Column("area", Integer, nullable=False),
    Column("num_defects", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Index("ix_found_class_name", "class_name"),
)

# What people say of an answer, one version after the other; none is ever changed.
corrections = Table(
    "corrections",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("answer", Integer, ForeignKey("answers.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("request_key", String(200), unique=True),
    Column("author", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("verdict", String(10), nullable=False),
    Column("note", Text, nullable=False),
    Column("masks", JSON, nullable=False),
    UniqueConstraint("answer", "version", name="uq_corrections_answer"),
)

# Files that a watched folder is done with.
files = Table(
    "files",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("answer", String(32)),
    Column("fault", Text),
    Column("done", Double, nullable=False),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sink", Text, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", Double, nullable=False),
    Column("fault", Text),
)

alarms = Table(
    "alarms",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("coil", Text),
    Column("answer", Integer, ForeignKey("answers.id", ondelete="SET NULL")),
    Column("created", Double, nullable=False, index=True),
    Column("position_m", Double),
    Column("about", JSON, nullable=False),
    Column("seen_by", Text),
    Column("seen", Double),
)

# What a shadow model would have said otherwise.
shadows = Table(
    "shadows",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("answer", Integer, ForeignKey("answers.id", ondelete="CASCADE"), nullable=False),
    Column("model", Integer, ForeignKey("models.id"), nullable=False),
    Column("differs", Boolean, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("created", Double, nullable=False),
    UniqueConstraint("answer", "model", name="uq_shadows_answer"),
)

# Decision rules that people saved, for a model's weights; version 0 are those that it came with.
rule_sets = Table(
    "rule_sets",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("identity", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("rules", JSON, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("identity", "version", name="uq_rule_sets_identity"),
)

users = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password", Text, nullable=False),
    Column("role", String(10), nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),
)

keys = Table(
    "keys",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String(10), nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("user", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("expires", Double, nullable=False),
)

# Append-only: triggers refuse to change or delete a row, and each row's digest holds that of the row before.
audit = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)

# Which models are in service, and other single values.
state = Table("state", METADATA, Column("key", String(40), primary_key=True), Column("value", JSON, nullable=False))
