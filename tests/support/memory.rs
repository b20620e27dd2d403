//! A store in memory that keeps the databases' rules: what the conformance suite holds beside them, and what tests use that
//! want a store and no file.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use goodstanding::{
    log::tree::{Tile, TileId},
    store::{
        AdmissionFacts, AdmissionQuery, Commit, Error, Head, IssuedToken, NewErasure, NewReport,
        Published, ReportFilter, Staged, StagingKey, Store, StoredBody, StoredEpoch, StoredErasure,
        StoredReport, StoredStatement, Tree,
    },
};
use goodstanding_verify::{did::Did, report::ReportId};

#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Option<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    head: Option<Head>,
    checkpoints: BTreeMap<u64, Published>,
    entries: BTreeMap<u64, (u64, &'static str, Vec<u8>)>,
    tiles: BTreeMap<(Tree, TileId), Tile>,
    agents: BTreeMap<Did, Option<String>>,
    reports: BTreeMap<u64, (NewReport, Option<u64>)>,
    erased: BTreeMap<u64, NewErasure>,
    epochs: BTreeMap<u64, (u64, [u8; 32])>,
    statements: BTreeMap<(u64, u64), (Did, bool, String)>,
    staging: Option<Staging>,
    tokens: BTreeMap<(u64, u64), Did>,
    meta: BTreeMap<String, String>,
}

/// What is staged, and whose it is.
#[derive(Clone, Debug)]
struct Staging {
    key: Option<StagingKey>,
    /// `None` = nothing is.
    epoch: Option<u64>,
    statements: Vec<(Did, bool, String)>,
    tiles: BTreeMap<TileId, Tile>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self(Mutex::new(Some(State::default())))
    }

    fn state(&self) -> Result<Guard<'_>, Error> {
        let guard = self.0.lock().unwrap();
        if guard.is_none() {
            return Err(Error::Unavailable("closed".to_owned()));
        }
        Ok(Guard(guard))
    }
}

struct Guard<'a>(MutexGuard<'a, Option<State>>);

impl std::ops::Deref for Guard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.0.as_ref().unwrap()
    }
}

impl std::ops::DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().unwrap()
    }
}

fn fits(numbers: &[u64]) -> Result<(), Error> {
    match numbers.iter().find(|n| i64::try_from(**n).is_err()) {
        None => Ok(()),
        Some(n) => Err(Error::Unsupported(format!("{n} does not fit"))),
    }
}

fn text(texts: &[&str]) -> Result<(), Error> {
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Error::Unsupported("text with U+0000".to_owned()));
    }
    Ok(())
}

fn broken(what: &str) -> Error {
    Error::Unavailable(format!("constraint: {what}"))
}

fn taken<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V, what: &str) -> Result<(), Error> {
    match map.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(broken(what)),
    }
}

fn limited<T>(items: impl Iterator<Item = T>, limit: u32) -> Vec<T> {
    items.take(usize::try_from(limit).unwrap()).collect()
}

/// A range that may be empty or upside down.
fn range<V>(map: &BTreeMap<u64, V>, start: u64, end: u64) -> impl Iterator<Item = (&u64, &V)> {
    map.range(start..end.max(start))
}

impl State {
    fn apply(&mut self, commit: &Commit) -> Result<(), Error> {
        let at = self.head.as_ref().map(|head| (head.size, head.root));
        if at != commit.expected {
            return Err(Error::HeadMoved);
        }
        fits(&[commit.head.size, commit.head.at_ms])?;
        text(&[&commit.head.note])?;
        self.head = Some(commit.head.clone());
        for entry in &commit.entries {
            fits(&[entry.index, entry.at_ms])?;
            let row = (entry.at_ms, entry.kind, entry.bytes.clone());
            taken(&mut self.entries, entry.index, row, "entries")?;
        }
        for report in &commit.reports {
            self.insert_report(report)?;
        }
        for (tree, id, tile) in &commit.tiles {
            if tile.is_empty() || tile.len() > 256 {
                return Err(broken("tiles"));
            }
            self.tiles.insert((*tree, *id), tile.clone());
        }
        if let Some(epoch) = &commit.epoch {
            fits(&[epoch.number, epoch.index])?;
            if self.epochs.values().any(|(index, _)| *index == epoch.index) {
                return Err(broken("epochs"));
            }
            let row = (epoch.index, epoch.salt_key);
            taken(&mut self.epochs, epoch.number, row, "epochs")?;
            let staged = self.staging.take().filter(|staged| {
                let count = u64::try_from(staged.statements.len()).unwrap();
                staged.key == Some(epoch.staged)
                    && count == epoch.statements
                    && staged.epoch.is_none_or(|number| number == epoch.number)
            });
            let staged = staged.ok_or(Error::Unstaged)?;
            for (leaf, statement) in (0..).zip(staged.statements) {
                self.agents.entry(statement.0).or_default();
                self.statements.insert((epoch.number, leaf), statement);
            }
            for (id, tile) in staged.tiles {
                self.tiles.insert((Tree::Epoch(epoch.number), id), tile);
            }
        }
        match &commit.erasure {
            Some(erasure) => self.erase(erasure),
            None => Ok(()),
        }
    }

    fn insert_report(&mut self, new: &NewReport) -> Result<(), Error> {
        fits(&[new.index, new.at_ms])?;
        text(&[&new.market, &new.trade_id, &new.jti, &new.jws])?;
        if let Some(old) = new.supersedes {
            fits(&[old])?;
            if let Some((_, superseded_by)) = self.reports.get_mut(&old) {
                superseded_by.get_or_insert(new.index);
            }
        }
        let same = |old: &NewReport, current: bool| {
            old.id == new.id
                || (old.reporter == new.reporter && old.jti == new.jti)
                || (current && trade(old) == trade(new))
        };
        if self
            .reports
            .values()
            .any(|(old, by)| same(old, by.is_none()))
        {
            return Err(broken("reports"));
        }
        for agent in [new.reporter, new.subject] {
            self.agents.entry(agent).or_default();
        }
        taken(&mut self.reports, new.index, (new.clone(), None), "reports")
    }

    fn stage(&mut self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        fits(&[part.epoch])?;
        for (_, _, claims) in &part.statements {
            text(&[claims])?;
        }
        let logged = self.epochs.keys().any(|number| *number >= part.epoch);
        let staging = self.staging.as_mut().filter(|staging| {
            let next = u64::try_from(staging.statements.len()).unwrap();
            let goes_on = next == 0 || staging.epoch == Some(part.epoch);
            staging.key == Some(key) && next == part.leaf && goes_on && !logged
        });
        let staging = staging.ok_or(Error::Unstaged)?;
        staging.epoch = Some(part.epoch);
        staging.statements.extend(part.statements.iter().cloned());
        staging.tiles.extend(part.tiles.clone());
        Ok(())
    }

    fn erase(&mut self, erasure: &NewErasure) -> Result<(), Error> {
        if let Some(staging) = &mut self.staging {
            staging.key = None;
        }
        let row = self.reports.remove(&erasure.index);
        let (old, by) = row
            .filter(|(report, _)| report.id == erasure.of)
            .ok_or_else(|| Error::Corrupt(format!("no report at {}", erasure.index)))?;
        for (report, superseded_by) in self.reports.values_mut() {
            if trade(report) == trade(&old) && *superseded_by == Some(erasure.index) {
                *superseded_by = by;
            }
        }
        for agent in [old.reporter, old.subject] {
            let named = self
                .reports
                .values()
                .any(|(r, _)| r.reporter == agent || r.subject == agent)
                || self.statements.values().any(|s| s.0 == agent)
                || self.tokens.values().any(|of| *of == agent);
            if !named {
                self.agents.remove(&agent);
            }
        }
        taken(&mut self.erased, erasure.index, *erasure, "erased")
    }

    fn stored(&self, index: u64) -> StoredReport {
        let (report, superseded_by) = &self.reports[&index];
        StoredReport {
            index,
            at_ms: report.at_ms,
            id: report.id,
            historical: report.historical,
            superseded_by: *superseded_by,
            jws: report.jws.clone(),
        }
    }

    /// Reports for which something holds, ascending.
    fn that(
        &self,
        holds: impl Fn(&NewReport) -> bool,
    ) -> impl DoubleEndedIterator<Item = StoredReport> {
        let found = self.reports.iter().filter(move |(_, (r, _))| holds(r));
        found.map(|(index, _)| self.stored(*index))
    }

    fn facts(&self, asked: &AdmissionQuery<'_>) -> AdmissionFacts {
        let find = |holds: &dyn Fn(&NewReport) -> bool| {
            self.reports
                .values()
                .find(|(r, _)| holds(r))
                .map(|(r, _)| r)
        };
        let current = |reporter: &Did, subject: &Did| {
            let on = (*reporter, *subject, asked.market, asked.trade_id);
            let mut all = self.reports.values();
            all.find(|(r, by)| by.is_none() && trade(r) == on)
                .map(|(r, _)| r)
        };
        let other = current(asked.subject, asked.reporter);
        let mine = |r: &NewReport| r.reporter == *asked.reporter;
        let alone = asked.alone_since_ms.map_or(0, |since| {
            self.that(|r| mine(r) && r.alone && r.at_ms >= since)
                .count()
        });
        AdmissionFacts {
            same: find(&|r| r.id == *asked.id).map(|r| r.index),
            erased: self
                .erased
                .values()
                .find(|e| e.of == *asked.id)
                .map(|e| e.by),
            jti: find(&|r| mine(r) && r.jti == asked.jti).map(|r| r.id),
            current: current(asked.reporter, asked.subject).map(|r| (r.index, r.id)),
            counterparty_reported: other.is_some_and(|r| r.role != asked.role),
            alone: u64::try_from(alone).unwrap(),
        }
    }

    fn stored_epoch(&self, number: u64) -> Option<StoredEpoch> {
        let (index, salt_key) = self.epochs.get(&number)?;
        Some(StoredEpoch {
            number,
            index: *index,
            entry: self.entries.get(index)?.2.clone(),
            salt_key: *salt_key,
        })
    }
}

fn trade(report: &NewReport) -> (Did, Did, &str, &str) {
    let (market, trade_id) = (report.market.as_str(), report.trade_id.as_str());
    (report.reporter, report.subject, market, trade_id)
}

fn statement((place, row): (&(u64, u64), &(Did, bool, String))) -> StoredStatement {
    StoredStatement {
        epoch: place.0,
        leaf: place.1,
        agent: row.0,
        claims: row.2.clone(),
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn head(&self) -> Result<Option<Head>, Error> {
        Ok(self.state()?.head.clone())
    }

    async fn commit(&self, commit: &Commit) -> Result<(), Error> {
        let mut state = self.state()?;
        let mut next = state.clone();
        next.apply(commit)?;
        *state = next;
        Ok(())
    }

    async fn claim_staging(&self, key: Option<StagingKey>) -> Result<u64, Error> {
        let mut state = self.state()?;
        if let Some(staging) = &mut state.staging {
            staging.key = key;
            return Ok(u64::try_from(staging.statements.len()).unwrap());
        }
        state.staging = key.map(|key| Staging {
            key: Some(key),
            epoch: None,
            statements: Vec::new(),
            tiles: BTreeMap::new(),
        });
        Ok(0)
    }

    async fn stage(&self, key: StagingKey, part: &Staged) -> Result<(), Error> {
        self.state()?.stage(key, part)
    }

    async fn clear_staging(&self, key: Option<StagingKey>) -> Result<bool, Error> {
        let mut state = self.state()?;
        let staging = state.staging.as_mut().filter(|staging| staging.key == key);
        let staging = staging.ok_or(Error::Unstaged)?;
        let left = staging.statements.len().saturating_sub(1000);
        staging.statements.truncate(left);
        if left == 0 {
            staging.epoch = None;
            staging.tiles.clear();
        }
        Ok(left == 0)
    }

    async fn confirm(&self, head: &Head) -> Result<(), Error> {
        let same = |held: &Head| (held.size, held.root) == (head.size, head.root);
        match &self.state()?.head {
            Some(held) if same(held) => Ok(()),
            _ => Err(Error::HeadMoved),
        }
    }

    async fn publish(&self, new: &Published) -> Result<(), Error> {
        fits(&[new.size, new.published_ms])?;
        text(&[&new.note])?;
        let mut state = self.state()?;
        let kept = state
            .checkpoints
            .entry(new.size)
            .or_insert_with(|| new.clone());
        kept.note.clone_from(&new.note);
        Ok(())
    }

    async fn checkpoints(&self, from: u64, limit: u32) -> Result<Vec<Published>, Error> {
        fits(&[from])?;
        let state = self.state()?;
        Ok(limited(
            state.checkpoints.range(from..).map(|c| c.1.clone()),
            limit,
        ))
    }

    async fn published(&self) -> Result<Option<Published>, Error> {
        Ok(self.state()?.checkpoints.values().next_back().cloned())
    }

    async fn newest_checkpoints(&self, before: u64, limit: u32) -> Result<Vec<Published>, Error> {
        fits(&[before])?;
        let state = self.state()?;
        let below = state.checkpoints.range(..before).rev();
        Ok(limited(below.map(|c| c.1.clone()), limit))
    }

    async fn published_of(&self, size: u64) -> Result<Option<Published>, Error> {
        fits(&[size])?;
        Ok(self.state()?.checkpoints.get(&size).cloned())
    }

    async fn admission_facts(
        &self,
        asked: &[AdmissionQuery<'_>],
    ) -> Result<Vec<AdmissionFacts>, Error> {
        fits(
            &asked
                .iter()
                .filter_map(|q| q.alone_since_ms)
                .collect::<Vec<_>>(),
        )?;
        let state = self.state()?;
        Ok(asked.iter().map(|query| state.facts(query)).collect())
    }

    async fn tile(&self, tree: Tree, id: TileId) -> Result<Option<Tile>, Error> {
        fits(&[id.n])?;
        Ok(self.state()?.tiles.get(&(tree, id)).cloned())
    }

    async fn entries(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>, Error> {
        fits(&[start, end])?;
        let state = self.state()?;
        Ok(range(&state.entries, start, end)
            .map(|e| e.1.2.clone())
            .collect())
    }

    async fn events(&self, kind: &str, before: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        fits(&[before])?;
        let state = self.state()?;
        let below = state.entries.range(..before);
        let events = below.filter(|(_, e)| e.1 == kind && kind != "report");
        Ok(events.map(|(index, e)| (*index, e.2.clone())).collect())
    }

    async fn bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredReport>, Error> {
        fits(&[start, end])?;
        let state = self.state()?;
        let inside = state.that(|r| (start..end).contains(&r.index));
        Ok(limited(inside, limit))
    }

    async fn log_bodies(&self, start: u64, end: u64, limit: u32) -> Result<Vec<StoredBody>, Error> {
        fits(&[start, end])?;
        let state = self.state()?;
        let mut all: BTreeMap<u64, _> = range(&state.reports, start, end)
            .map(|(index, (r, _))| (*index, (Some(r.jws.clone()), None)))
            .collect();
        all.extend(range(&state.erased, start, end).map(|(index, e)| (*index, (None, Some(e.by)))));
        let body = |(index, (jws, erased_by))| StoredBody {
            index,
            jws,
            erased_by,
        };
        Ok(limited(all.into_iter().map(body), limit))
    }

    async fn erased(&self, id: &ReportId) -> Result<Option<StoredErasure>, Error> {
        let state = self.state()?;
        let found = state.erased.values().find(|e| e.of == *id);
        Ok(found.map(|e| StoredErasure {
            index: e.index,
            id: e.of,
            by: e.by,
            entry: state.entries[&e.by].2.clone(),
        }))
    }

    async fn erased_since(&self, log_size: u64) -> Result<u64, Error> {
        fits(&[log_size])?;
        let state = self.state()?;
        let since = state
            .erased
            .range(..log_size)
            .filter(|e| e.1.by >= log_size);
        Ok(u64::try_from(since.count()).unwrap())
    }

    async fn scrub(&self) -> Result<bool, Error> {
        self.state().map(|_| true)
    }

    async fn report(&self, id: &ReportId) -> Result<Option<StoredReport>, Error> {
        let state = self.state()?;
        let mut found = state.that(|r| r.id == *id);
        Ok(found.next())
    }

    async fn reports(&self, filter: &ReportFilter) -> Result<Vec<StoredReport>, Error> {
        fits(&[filter.from_index])?;
        let state = self.state()?;
        let matching = state.that(|r| {
            r.index >= filter.from_index
                && filter.subject.is_none_or(|did| r.subject == did)
                && filter.reporter.is_none_or(|did| r.reporter == did)
                && filter
                    .market
                    .as_ref()
                    .is_none_or(|market| r.market == *market)
                && filter
                    .trade_id
                    .as_ref()
                    .is_none_or(|trade| r.trade_id == *trade)
        });
        Ok(limited(matching, filter.limit))
    }

    async fn current_reports(
        &self,
        market: &str,
        trade_id: &str,
        [one, other]: [&Did; 2],
        before: u64,
    ) -> Result<Vec<StoredReport>, Error> {
        fits(&[before])?;
        let state = self.state()?;
        let newest = |on: (Did, Did, &str, &str)| {
            state
                .that(|r| trade(r) == on && r.index < before)
                .next_back()
        };
        let both = [
            (*one, *other, market, trade_id),
            (*other, *one, market, trade_id),
        ];
        Ok(both.into_iter().filter_map(newest).collect())
    }

    async fn index_at(&self, at_ms: u64) -> Result<u64, Error> {
        fits(&[at_ms])?;
        let state = self.state()?;
        let size = state.head.as_ref().map_or(0, |head| head.size);
        let mut later = state.entries.iter().filter(|(_, e)| e.0 >= at_ms);
        Ok(later.next().map_or(size, |(index, _)| *index))
    }

    async fn known_documents(&self, digests: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, Error> {
        let state = self.state()?;
        let all: BTreeSet<_> = state
            .reports
            .values()
            .flat_map(|(r, _)| &r.documents)
            .collect();
        let asked: BTreeSet<_> = digests.iter().collect();
        Ok(asked.intersection(&all).map(|digest| **digest).collect())
    }

    async fn reports_with_document(
        &self,
        sha256: &[u8; 32],
        limit: u32,
    ) -> Result<Vec<StoredReport>, Error> {
        let state = self.state()?;
        Ok(limited(state.that(|r| r.documents.contains(sha256)), limit))
    }

    async fn newest_report(&self) -> Result<Option<StoredReport>, Error> {
        let state = self.state()?;
        let mut all = state.that(|_| true);
        Ok(all.next_back())
    }

    async fn epoch(&self, number: Option<u64>) -> Result<Option<StoredEpoch>, Error> {
        fits(number.as_slice())?;
        let state = self.state()?;
        let newest = state.epochs.keys().next_back().copied();
        Ok(number
            .or(newest)
            .and_then(|number| state.stored_epoch(number)))
    }

    async fn epochs(&self, before: u64, limit: u32) -> Result<Vec<StoredEpoch>, Error> {
        fits(&[before])?;
        let state = self.state()?;
        let below = state.epochs.range(..before).rev();
        Ok(limited(
            below.filter_map(|(number, _)| state.stored_epoch(*number)),
            limit,
        ))
    }

    async fn statements(
        &self,
        epoch: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        fits(&[epoch, from])?;
        let state = self.state()?;
        let of = state.statements.range((epoch, from)..=(epoch, u64::MAX));
        Ok(limited(of.map(statement), limit))
    }

    async fn statements_of(
        &self,
        agent: &Did,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredStatement>, Error> {
        fits(&[before])?;
        let state = self.state()?;
        let below = state.statements.range(..(before, 0)).rev();
        Ok(limited(
            below.filter(|s| s.1.0 == *agent).map(statement),
            limit,
        ))
    }

    async fn reached(&self) -> Result<Vec<Did>, Error> {
        let state = self.state()?;
        let newest = state.epochs.keys().next_back();
        let of = |(place, row): (&(u64, u64), &(Did, bool, String))| {
            (Some(&place.0) == newest && row.1).then_some(row.0)
        };
        Ok(state.statements.iter().filter_map(of).collect())
    }

    async fn set_aliases(&self, aliases: &[(String, Did)]) -> Result<(), Error> {
        let mut state = self.state()?;
        let mut next = state.agents.clone();
        for (alias, did) in aliases {
            text(&[alias])?;
            if next
                .iter()
                .any(|(of, name)| of != did && name.as_ref() == Some(alias))
            {
                return Err(broken("aliases"));
            }
            next.insert(*did, Some(alias.clone()));
        }
        state.agents = next;
        Ok(())
    }

    async fn agent_of_alias(&self, alias: &str) -> Result<Option<Did>, Error> {
        let state = self.state()?;
        let found = state
            .agents
            .iter()
            .find(|(_, name)| name.as_deref() == Some(alias));
        Ok(found.map(|(did, _)| *did))
    }

    async fn aliases(&self) -> Result<Vec<(String, Did)>, Error> {
        let state = self.state()?;
        let named = state
            .agents
            .iter()
            .filter_map(|(did, name)| Some((name.clone()?, *did)));
        let mut all: Vec<_> = named.collect();
        all.sort_by_key(|(_, did)| *did.key_bytes());
        Ok(all)
    }

    async fn add_token(&self, token: &IssuedToken) -> Result<bool, Error> {
        fits(&[token.list, token.idx, token.epoch, token.iat, token.exp])?;
        let mut state = self.state()?;
        let place = (token.list, token.idx);
        if !state.agents.contains_key(&token.agent) || state.tokens.contains_key(&place) {
            return Ok(false);
        }
        state.tokens.insert(place, token.agent);
        Ok(true)
    }

    async fn status_list(&self, list: u64) -> Result<(u64, Vec<u64>), Error> {
        fits(&[list])?;
        let state = self.state()?;
        let places = state.tokens.range((list, 0)..=(list, u64::MAX)).count();
        Ok((u64::try_from(places).unwrap(), Vec::new()))
    }

    async fn newest_status_list(&self) -> Result<Option<u64>, Error> {
        Ok(self
            .state()?
            .tokens
            .keys()
            .next_back()
            .map(|(list, _)| *list))
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.state()?.meta.get(key).cloned())
    }

    async fn replace_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        text(&[key, value])?;
        self.state()?.meta.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        text(&[key, value])?;
        let mut state = self.state()?;
        if state.meta.contains_key(key) {
            return Err(broken("meta"));
        }
        state.meta.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn close(&self) {
        *self.0.lock().unwrap() = None;
    }
}
