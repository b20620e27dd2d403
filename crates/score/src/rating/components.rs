//! Edges inside strongly connected components (Tarjan 1972, without recursion).

use std::collections::HashMap;

/// Agents that a component needs.
const LEAST: usize = 3;

/// The labels of the edges (from, to, label) whose ends lie in one strongly connected component of at least three agents.
pub(super) fn inside(edges: &[(u32, u32, u32)]) -> Vec<u32> {
    let mut places: HashMap<u32, usize> = HashMap::new();
    for (from, to, _) in edges {
        for agent in [*from, *to] {
            let next = places.len();
            places.entry(agent).or_insert(next);
        }
    }
    let mut out = vec![Vec::new(); places.len()];
    for (from, to, _) in edges {
        out[places[from]].push(places[to]);
    }
    let component = components(&out);
    let mut sizes = vec![0_usize; places.len()];
    for c in &component {
        sizes[*c] += 1;
    }
    let kept = edges.iter().filter(|(from, to, _)| {
        let (from, to) = (component[places[from]], component[places[to]]);
        from == to && sizes[from] >= LEAST
    });
    kept.map(|(_, _, label)| *label).collect()
}

/// The component of every node, named by one of its nodes.
fn components(out: &[Vec<usize>]) -> Vec<usize> {
    const UNSEEN: usize = usize::MAX;
    let mut index = vec![UNSEEN; out.len()];
    let mut low = vec![0; out.len()];
    let mut component = vec![UNSEEN; out.len()];
    let (mut open, mut count) = (Vec::new(), 0);
    for root in 0..out.len() {
        if index[root] != UNSEEN {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((node, next)) = path.last_mut() {
            let (node, edge) = (*node, *next);
            if index[node] == UNSEEN {
                index[node] = count;
                low[node] = count;
                count += 1;
                open.push(node);
            }
            if let Some(to) = out[node].get(edge) {
                *next += 1;
                if index[*to] == UNSEEN {
                    path.push((*to, 0));
                } else if component[*to] == UNSEEN {
                    low[node] = low[node].min(index[*to]);
                }
                continue;
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[node]);
            }
            if low[node] == index[node] {
                while let Some(member) = open.pop() {
                    component[member] = node;
                    if member == node {
                        break;
                    }
                }
            }
        }
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_of_three_is_inside_and_what_hangs_on_it_is_not() {
        let edges = [
            (0, 1, 10),
            (1, 2, 11),
            (2, 0, 12),
            (2, 3, 13),
            (4, 5, 14),
            (5, 4, 15),
            (6, 6, 16),
        ];
        assert_eq!(inside(&edges), [10, 11, 12]);
        assert!(inside(&[]).is_empty());
    }

    #[test]
    fn two_cycles_that_share_an_agent_are_one() {
        let edges = [(9, 8, 0), (8, 9, 1), (8, 7, 2), (7, 8, 3), (1, 9, 4)];
        assert_eq!(inside(&edges), [0, 1, 2, 3]);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let mut edges: Vec<_> = (0..200_000).map(|n| (n, n + 1, n)).collect();
        assert!(inside(&edges).is_empty());
        edges.push((200_000, 0, 200_000));
        assert_eq!(inside(&edges).len(), 200_001);
    }
}
