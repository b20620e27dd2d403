//! What the writer asks about a batch of reports before it is planned: one statement, on the writer's own connection.

use std::collections::HashMap;

use goodstanding_verify::report::ReportId;
use sqlx::{Row as _, postgres::PgRow};

use super::{
    PostgresStore,
    read::{comparable, index},
    session::all,
    sql,
    write::column,
};
use crate::store::{
    AdmissionFacts, AdmissionQuery, Error,
    convert::{bytes32, report_id, role_number, to_i64, to_u64},
};

/// Different values of a batch, each once, by the place at which it is sent.
struct Distinct<K> {
    values: Vec<K>,
    places: HashMap<K, i32>,
}

impl<K: Copy + Eq + std::hash::Hash> Distinct<K> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// The place of a value, from 1 as in an array of PostgreSQL.
    fn place(&mut self, value: K) -> Result<i32, Error> {
        if let Some(place) = self.places.get(&value) {
            return Ok(*place);
        }
        self.values.push(value);
        let place = i32::try_from(self.values.len())
            .map_err(|_| Error::Unsupported("a batch has too many rows".to_owned()))?;
        self.places.insert(value, place);
        Ok(place)
    }
}

/// A batch as the statement takes it: reports name agents, markets and counts by their places.
struct Batch<'a> {
    agents: Distinct<&'a [u8]>,
    markets: Distinct<&'a str>,
    /// Whose reports on one's word alone are counted, and since when.
    alone: Distinct<(i32, i64)>,
    reporters: Vec<i32>,
    subjects: Vec<i32>,
    market: Vec<i32>,
    /// 0: nothing is counted.
    count: Vec<i32>,
}

impl<'a> Batch<'a> {
    fn of(asked: &[AdmissionQuery<'a>]) -> Result<Self, Error> {
        let mut batch = Self {
            agents: Distinct::new(),
            markets: Distinct::new(),
            alone: Distinct::new(),
            reporters: Vec::with_capacity(asked.len()),
            subjects: Vec::with_capacity(asked.len()),
            market: Vec::with_capacity(asked.len()),
            count: Vec::with_capacity(asked.len()),
        };
        for query in asked {
            let reporter = batch.agents.place(query.reporter.key_bytes())?;
            let subject = batch.agents.place(query.subject.key_bytes())?;
            let count = match query.alone_since_ms {
                Some(since) => batch.alone.place((reporter, to_i64(since)?))?,
                None => 0,
            };
            batch.reporters.push(reporter);
            batch.subjects.push(subject);
            batch.market.push(batch.markets.place(query.market)?);
            batch.count.push(count);
        }
        Ok(batch)
    }
}

fn facts(row: &PgRow) -> Result<AdmissionFacts, Error> {
    let id = |column: usize| -> Result<Option<ReportId>, Error> {
        row.get::<Option<&[u8]>, _>(column)
            .map(report_id)
            .transpose()
    };
    Ok(AdmissionFacts {
        same: index(row, 0)?,
        erased: index(row, 1)?,
        jti: id(2)?,
        current: index(row, 3)?.zip(id(4)?),
        counterparty_reported: row.get(5),
        alone: to_u64(row.get(6))?,
    })
}

impl PostgresStore {
    /// On the writer's connection.
    pub(super) async fn read_admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(asked)?;
        let (alone, since): (Vec<i32>, Vec<i64>) = batch.alone.values.iter().copied().unzip();
        let markets = batch.markets.values.iter().copied();
        let query = sqlx::query(sql::ADMISSION_FACTS)
            .bind(&batch.agents.values)
            .bind(markets.map(comparable).collect::<Vec<_>>())
            .bind(alone)
            .bind(since)
            .bind(column(asked, |q| q.id.0.as_slice()))
            .bind(&batch.reporters)
            .bind(&batch.subjects)
            .bind(&batch.market)
            .bind(column(asked, |q| comparable(q.trade_id)))
            .bind(column(asked, |q| role_number(q.role)))
            .bind(column(asked, |q| comparable(q.jti)))
            .bind(&batch.count);
        let rows = all(&self.writer, query).await?;
        rows.iter().map(facts).collect()
    }

    /// On the writer's connection.
    pub(super) async fn read_known_documents(
        &self,
        digests: &[[u8; 32]],
    ) -> Result<Vec<[u8; 32]>, Error> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let digests: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
        let query = sqlx::query(sql::KNOWN_DOCUMENTS).bind(digests);
        let rows = all(&self.writer, query).await?;
        rows.iter().map(|row| bytes32(row.get(0))).collect()
    }
}
