//! Columns and rows as they are stored, and what a failure to read them means.

use sqlx::{Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

pub(super) use crate::store::snapshot::range::{lowest, most, number, signed, tile_place};
use crate::store::{
    Error,
    snapshot::{
        AgentRow, CheckpointRow, DocumentRow, EntryRow, EpochRow, ErasedRow, HeadRow, Neighbours,
        OddToken, ReportRow, StatementRow, TileRow, TokenRow,
    },
};

/// A damaged file is a finding, an unreachable one is not.
#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
pub(in crate::store::sqlite) fn failed(error: sqlx::Error) -> Error {
    let damaged = match &error {
        sqlx::Error::Database(inner) => inner
            .code()
            .and_then(|code| code.parse::<i64>().ok())
            // SQLITE_CORRUPT and SQLITE_NOTADB, whatever their extended codes.
            .is_some_and(|code| matches!(code & 0xff, 11 | 26)),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    };
    if damaged {
        Error::Corrupt(error.to_string())
    } else {
        Error::Unavailable(error.to_string())
    }
}

/// Columns by their place; one of another type than asked for is damage.
pub(super) trait Columns {
    fn value<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: usize)
    -> Result<T, Error>;
    fn number(&self, column: usize) -> Result<u64, Error>;
    fn number_or_null(&self, column: usize) -> Result<Option<u64>, Error>;
}

impl Columns for SqliteRow {
    fn value<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &'r self,
        column: usize,
    ) -> Result<T, Error> {
        self.try_get(column).map_err(failed)
    }

    fn number(&self, column: usize) -> Result<u64, Error> {
        self.value(column).map(number)
    }

    fn number_or_null(&self, column: usize) -> Result<Option<u64>, Error> {
        Ok(self.value::<Option<i64>>(column)?.map(number))
    }
}

pub(super) fn head(row: &SqliteRow) -> Result<HeadRow, Error> {
    Ok(HeadRow {
        size: row.number(0)?,
        root: row.value(1)?,
        at_ms: row.number(2)?,
        note: row.value(3)?,
    })
}

pub(super) fn checkpoint(row: &SqliteRow) -> Result<CheckpointRow, Error> {
    Ok(CheckpointRow {
        size: row.number(0)?,
        published_ms: row.number(1)?,
        note: row.value(2)?,
    })
}

pub(super) fn entry(row: &SqliteRow) -> Result<EntryRow, Error> {
    Ok(EntryRow {
        idx: row.number(0)?,
        at_ms: row.number(1)?,
        kind: row.value(2)?,
        bytes: row.value(3)?,
    })
}

pub(super) fn agent(row: &SqliteRow) -> Result<AgentRow, Error> {
    Ok(AgentRow {
        key: row.value(0)?,
        alias: row.value(1)?,
    })
}

pub(super) fn report(row: &SqliteRow) -> Result<ReportRow, Error> {
    Ok(ReportRow {
        idx: row.number(0)?,
        id: row.value(1)?,
        at_ms: row.number(2)?,
        reporter: row.value(3)?,
        subject: row.value(4)?,
        market: row.value(5)?,
        trade_id: row.value(6)?,
        role: row.value(7)?,
        jti: row.value(8)?,
        historical: row.value(9)?,
        alone: row.value(10)?,
        superseded_by: row.number_or_null(11)?,
        jws: row.value(12)?,
    })
}

pub(super) fn neighbours(row: &SqliteRow) -> Result<Neighbours, Error> {
    Ok(Neighbours {
        next: row.number_or_null(0)?,
        previous: row.value(1)?,
        answer_role: row.value(2)?,
    })
}

pub(super) fn document(row: &SqliteRow) -> Result<DocumentRow, Error> {
    Ok(DocumentRow {
        sha256: row.value(0)?,
        idx: row.number(1)?,
    })
}

pub(super) fn erased(row: &SqliteRow) -> Result<ErasedRow, Error> {
    Ok(ErasedRow {
        idx: row.number(0)?,
        id: row.value(1)?,
        by: row.number(2)?,
    })
}

pub(super) fn tile(row: &SqliteRow) -> Result<TileRow, Error> {
    Ok(TileRow {
        tree: row.number(0)?,
        level: row.number(1)?,
        n: row.number(2)?,
        width: row.number(3)?,
    })
}

pub(super) fn epoch(row: &SqliteRow) -> Result<EpochRow, Error> {
    Ok(EpochRow {
        number: row.number(0)?,
        idx: row.number(1)?,
        salt_key: row.value(2)?,
    })
}

pub(super) fn statement(row: &SqliteRow) -> Result<StatementRow, Error> {
    Ok(StatementRow {
        leaf: row.number(0)?,
        agent: row.value(1)?,
        reached: row.value(2)?,
        claims: row.value(3)?,
    })
}

pub(super) fn token(row: &SqliteRow) -> Result<TokenRow, Error> {
    Ok(TokenRow {
        list: row.number(0)?,
        idx: row.number(1)?,
        agent: row.value(2)?,
        epoch: row.number(3)?,
        iat: row.number(4)?,
        exp: row.number(5)?,
        revoked: row.value(6)?,
    })
}

pub(super) fn odd_token(row: &SqliteRow) -> Result<OddToken, Error> {
    Ok(OddToken {
        list: row.number(0)?,
        idx: row.number(1)?,
        epoch: row.number(2)?,
        iat: row.number(3)?,
        exp: row.number(4)?,
        stated: row.value(5)?,
    })
}
