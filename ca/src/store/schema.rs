//! The database's tables. A new format is a new step at the end of [`STEPS`]; steps that were released never change.

/// What brings a database from format `n` to `n + 1`.
pub(super) const STEPS: [&str; 6] = [
    "
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE authority (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    side        TEXT NOT NULL,
    tier        TEXT NOT NULL,
    certificate BLOB NOT NULL
) STRICT;

CREATE TABLE certificate (
    id            INTEGER PRIMARY KEY,
    authority     INTEGER NOT NULL REFERENCES authority (id),
    serial        BLOB NOT NULL,
    state         TEXT NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    product       TEXT,
    device_serial TEXT,
    public_key    BLOB NOT NULL,
    not_before    INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    reserved_at   INTEGER NOT NULL,
    folder        TEXT NOT NULL,
    certificate   BLOB,
    UNIQUE (authority, serial)
) STRICT;

CREATE INDEX certificate_name          ON certificate (name);
CREATE INDEX certificate_device_serial ON certificate (device_serial) WHERE device_serial IS NOT NULL;
CREATE INDEX certificate_serial        ON certificate (serial);
CREATE INDEX certificate_public_key    ON certificate (public_key);
CREATE INDEX certificate_unfinished    ON certificate (id) WHERE state = 'intent';

CREATE TABLE revocation (
    certificate INTEGER PRIMARY KEY REFERENCES certificate (id),
    authority   INTEGER NOT NULL REFERENCES authority (id),
    serial      BLOB NOT NULL,
    not_after   INTEGER NOT NULL,
    revoked_at  INTEGER NOT NULL,
    reason      TEXT NOT NULL
) STRICT;

CREATE INDEX revocation_authority ON revocation (authority, not_after);

CREATE TABLE crl (
    authority   INTEGER NOT NULL REFERENCES authority (id),
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    PRIMARY KEY (authority, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    event    TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;
",
    "
ALTER TABLE crl ADD COLUMN published INTEGER NOT NULL DEFAULT 0;
UPDATE crl SET published = 1;
",
    // Whether the store is for tests, and how old its authorities were made. What was there before is production; a
    // program that does not know test stores must not open one.
    "
INSERT INTO setting (name, value) VALUES ('test', 'no'), ('legacy', '');
",
    // Lists in shards: a certificate's shard never changes, and a shard is tied to its URI for ever. Shard nought of
    // `revocation_list` is the complete list.
    "
ALTER TABLE certificate ADD COLUMN shard INTEGER;
ALTER TABLE revocation ADD COLUMN shard INTEGER;
CREATE INDEX revocation_shard ON revocation (authority, shard, not_after);
CREATE INDEX certificate_shard ON certificate (authority, shard, not_after);

CREATE TABLE revocation_list (
    authority   INTEGER NOT NULL REFERENCES authority (id),
    shard       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    published   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (authority, shard, number)
) STRICT, WITHOUT ROWID;
INSERT INTO revocation_list (authority, shard, number, this_update, next_update, published)
    SELECT authority, 0, number, this_update, next_update, published FROM crl;
DROP TABLE crl;

CREATE TABLE publication (
    authority     INTEGER PRIMARY KEY REFERENCES authority (id),
    url           TEXT NOT NULL,
    ocsp          INTEGER NOT NULL,
    complete_list INTEGER NOT NULL
) STRICT;

CREATE TABLE shard (
    authority INTEGER NOT NULL REFERENCES authority (id),
    shard     INTEGER NOT NULL,
    uri       TEXT NOT NULL,
    is_open   INTEGER NOT NULL,
    PRIMARY KEY (authority, shard),
    UNIQUE (authority, uri)
) STRICT, WITHOUT ROWID;
",
    // Certificates by their fingerprint, and by their end.
    "
ALTER TABLE certificate ADD COLUMN fingerprint BLOB;
CREATE INDEX certificate_fingerprint ON certificate (fingerprint);
CREATE INDEX certificate_unprinted   ON certificate (id) WHERE fingerprint IS NULL AND certificate IS NOT NULL;
CREATE INDEX certificate_not_after   ON certificate (not_after);
",
    // The audit log, signed as far as it went.
    "
CREATE TABLE checkpoint (
    sequence  INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    authority TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
",
];
