//! What is still to send in one run of a forecast, by rank: how it runs empty, and when a segment names the last of it.

use super::learn::Given;
use super::{Case, Habits, Need, real};

/// A segment that names the last files of a root, bytes: they are small, and a pack of a slow line weighs far more.
const SEGMENT: f64 = 65_536.0;
/// Two requests and a listing make an object safe; what each takes where nothing was measured, seconds.
const REQUESTS: f64 = 3.0;
/// New files come in bursts: what arrives is between this part of the mean and this multiple of it.
const QUIETER: f64 = 0.6;
const BUSIER: f64 = 1.5;
/// Less is nothing, bytes.
const DROP: f64 = 0.5;

/// All of one rank.
#[derive(Clone, Debug)]
struct Group {
    rank: u32,
    backlog: f64,
    /// Bytes a second.
    arriving: f64,
    /// All of it lies in the spool: what arrives from now on goes behind it, and is not waited for.
    captured: bool,
    behind: f64,
    sent_at: Option<f64>,
    /// What is left of its last segment, bytes, and when that may begin.
    tail: f64,
    tail_from: f64,
    safe_at: Option<f64>,
}

/// All ranks, the higher ones first.
#[derive(Clone, Debug)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    pub(super) fn of(needs: &[Need], habits: &Habits, case: Case) -> Self {
        let mut groups: Vec<Group> = vec![];
        let arriving = match case {
            Case::Early => QUIETER,
            Case::Likely => 1.0,
            Case::Late => BUSIER,
        };
        for need in needs {
            let ratio = need.ratio.in_case(case);
            let bytes = real(need.unread) * ratio + real(need.sealed);
            let new = real(need.new_per_day) / 86_400.0 * need.ratio.likely * arriving;
            let at = groups.iter().position(|g| g.rank == need.rank).unwrap_or_else(|| {
                groups.push(Group {
                    rank: need.rank,
                    backlog: 0.0,
                    arriving: 0.0,
                    captured: false,
                    behind: 0.0,
                    sent_at: None,
                    tail: SEGMENT,
                    tail_from: 0.0,
                    safe_at: None,
                });
                groups.len() - 1
            });
            groups[at].backlog += bytes;
            groups[at].arriving += new;
        }
        groups.sort_by_key(|g| g.rank);
        overtake(&mut groups, habits, case);
        Self(groups)
    }

    pub(super) fn are_safe(&self) -> bool {
        self.0.iter().all(|g| g.safe_at.is_some())
    }

    /// When what has this rank is safe; None: not yet.
    pub(super) fn safe_at(&self, rank: u32) -> Option<f64> {
        self.0.iter().find(|g| g.rank == rank).and_then(|g| g.safe_at)
    }

    /// What is stored is named now, whatever the timetable says.
    pub(super) fn name_from(&mut self, t: f64) {
        self.0.iter_mut().filter(|g| g.sent_at.is_some()).for_each(|g| g.tail_from = g.tail_from.min(t));
    }

    /// Pours for `step` seconds at most, until a group runs empty or has all it waits for in the spool; how long that was.
    pub(super) fn pour(&mut self, rate: f64, step: f64, spool: f64, sent: &mut f64) -> f64 {
        let groups = &mut self.0;
        for g in groups.iter_mut() {
            g.captured |= g.backlog <= spool;
        }
        let mut left = rate;
        let mut first = None;
        for (i, g) in groups.iter().enumerate() {
            if g.backlog > DROP {
                first = Some(i);
                break;
            }
            left = (left - g.arriving).max(0.0);
        }
        let bend = first.map_or(f64::INFINITY, |i| {
            let g = &groups[i];
            let (net, down_to) = if g.captured { (left, 0.0) } else { (left - g.arriving, spool) };
            if net > 0.0 { (g.backlog - down_to) / net } else { f64::INFINITY }
        });
        let step = step.min(bend);
        let mut left = rate;
        for (i, g) in groups.iter_mut().enumerate() {
            let takes = if Some(i) == first { left } else { g.arriving.min(left) };
            let new = g.arriving * step;
            if g.captured && g.sent_at.is_none() && g.backlog > DROP {
                g.behind += new;
                g.backlog = (g.backlog - takes * step).max(0.0);
            } else {
                g.backlog = (g.backlog + new - takes * step).max(0.0);
            }
            left -= takes;
            *sent += takes * step;
        }
        if let Some(g) = first.filter(|_| step >= bend).map(|i| &mut groups[i]) {
            if g.captured {
                g.backlog = 0.0;
            }
            g.captured = true;
        }
        step.max(1e-6)
    }

    /// Of groups whose last byte has gone: from when on a segment may name it.
    pub(super) fn end(&mut self, t: f64, habits: &Habits, gather: f64, case: Case) {
        for number in 0..self.0.len() {
            let others = self.0.iter().skip(number + 1).any(|g| g.backlog > DROP);
            let g = &mut self.0[number];
            if g.sent_at.is_some() || g.backlog > DROP {
                continue;
            }
            g.sent_at = Some(t);
            g.backlog = std::mem::take(&mut g.behind);
            // Drained is published at once; else the timetable decides.
            let publish = if others { habits.publish_every.as_secs_f64() * case.wait() } else { 0.0 };
            g.tail_from = t + gather + publish;
        }
    }

    /// Segments of groups that are sent: they need an open line, and the time of an object.
    pub(super) fn name(&mut self, line: f64, t: f64, passed: f64, given: &Given) {
        for g in self.0.iter_mut().filter(|g| g.sent_at.is_some() && g.safe_at.is_none()) {
            let from = g.tail_from.max(t);
            let open = t + passed - from;
            if open <= 0.0 || line <= 0.0 {
                continue;
            }
            let requests = given.request_s().max(0.1) * REQUESTS;
            // Requests take their time once: counted as bytes of this line.
            let rest = g.tail + if g.tail >= SEGMENT { requests * line } else { 0.0 };
            let needed = rest / line;
            if needed <= open {
                g.safe_at = Some(from + needed);
            } else {
                g.tail = (rest - open * line).clamp(1.0, SEGMENT - 1.0);
            }
        }
    }
}

/// What goes first overtakes between packs: the one under way ends first.
fn overtake(groups: &mut [Group], habits: &Habits, case: Case) {
    let others = groups.iter().skip(1).any(|g| g.backlog > 0.0);
    if let Some(first) = groups.first_mut().filter(|_| others) {
        first.backlog += real(habits.pack) * case.wait();
    }
}

/// How long files that fill no pack wait for company, seconds.
pub(super) fn wait_for_company(needs: &[Need], habits: &Habits, case: Case) -> f64 {
    let unread: u64 = needs.iter().map(|n| n.unread).sum();
    if unread == 0 || unread >= habits.pack {
        return 0.0;
    }
    habits.gather.as_secs_f64() * case.wait()
}
