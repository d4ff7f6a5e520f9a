//! Sets of addresses as CIDR blocks with exceptions.

use model::{Ip, IpSet, Prefix, Region};

/// A block less others within it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub cidr: Prefix,
    pub except: Vec<Prefix>,
}

impl Block {
    /// Its addresses: those of its own family, for `::/0` does not hold IPv4.
    pub(super) fn addresses(&self) -> IpSet {
        let all = within_family(self.cidr);
        self.except.iter().fold(all, |rest, except| rest.subtract(&within_family(*except)))
    }
}

fn within_family(block: Prefix) -> IpSet {
    let family = if block.first().is_v4() { IpSet::all_v4() } else { IpSet::all_v6() };
    block.to_set().intersect(&family)
}

/// Blocks whose union is exactly the set: the plain list, or one block with exceptions when that is shorter.
pub(super) fn blocks(addresses: &IpSet) -> Vec<Block> {
    let mut list = Vec::new();
    for family in [IpSet::all_v4(), IpSet::all_v6()] {
        let set = addresses.intersect(&family);
        let plain = set.to_prefixes();
        let holed = enclosing(&set).map(|cidr| {
            let except = within_family(cidr).subtract(&set).to_prefixes();
            Block { cidr, except }
        });
        match holed {
            Some(holed) if holed.except.len() + 1 < plain.len() => list.push(holed),
            _ => list.extend(plain.into_iter().map(|cidr| Block { cidr, except: Vec::new() })),
        }
    }
    list
}

/// The least block that holds a set of one family.
fn enclosing(set: &IpSet) -> Option<Prefix> {
    let (first, last) = (set.runs().first()?.0, set.runs().last()?.1);
    let shared = (first.0 ^ last.0).leading_zeros() as u8;
    let length = if first.is_v4() { shared.checked_sub(96)? } else { shared };
    Prefix::new(Ip(first.0), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], less: &[&str], expected: &str) {
        let union = |words: &[&str]| {
            words.iter().fold(IpSet::default(), |all, w| all.union(&w.parse::<Prefix>().unwrap().to_set()))
        };
        let set = union(words).subtract(&union(less));
        let blocks = blocks(&set);
        let back = blocks.iter().fold(IpSet::default(), |all, block| all.union(&block.addresses()));
        assert_eq!(back, set);
        let print = |block: &Block| match block.except.as_slice() {
            [] => block.cidr.to_string(),
            except => {
                let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                format!("{} less {}", block.cidr, except.join(" "))
            }
        };
        assert_eq!(blocks.iter().map(print).collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn the_shorter_form_wins() {
        check(&["10.0.0.0/8"], &[], "10.0.0.0/8");
        check(&["10.0.0.0/8"], &["10.7.0.0/16"], "10.0.0.0/8 less 10.7.0.0/16");
        check(&["10.0.0.1", "10.0.0.9"], &[], "10.0.0.1/32, 10.0.0.9/32");
        check(&["0.0.0.0/0"], &["10.0.0.0/8", "172.16.0.0/12"], "0.0.0.0/0 less 10.0.0.0/8 172.16.0.0/12");
        check(&["::/0"], &["0.0.0.0/0"], "::/0");
        check(&["::/0"], &["fd00::/8", "0.0.0.0/0"], "::/0 less fd00::/8");
        check(&["0.0.0.0/0", "::/0"], &[], "0.0.0.0/0, ::/0");
        check(&[], &[], "");
    }
}
