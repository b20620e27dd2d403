//! Tile paths have one spelling, and tiles and bundles one reading. The first byte is the width, what follows is a path, a
//! tile and a bundle.
#![no_main]

use goodstanding_verify::tile::{
    TILE_WIDTH, TilePath, bundle_bytes, parse_bundle, parse_tile, tile_bytes,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((width, rest)) = data.split_first() else {
        return;
    };
    let width = usize::from(*width);
    if let Ok(text) = std::str::from_utf8(rest)
        && let Some(path) = TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text);
        assert!((1..=TILE_WIDTH).contains(&path.width));
        assert!(path.level.is_none_or(|level| level < 64));
        assert_eq!(TilePath::parse(&path.full().to_string()), Some(path.full()));
        // A tree that has the tile has it at some width, and its parent holds it.
        if let Some(id) = path.tile()
            && let Some((parent, place)) = id.parent()
        {
            assert_eq!((parent.n, place), (id.n / 256, (id.n % 256) as usize));
            assert!(id.width_in(u64::MAX).is_none_or(|w| w <= TILE_WIDTH));
        }
    }
    match parse_tile(rest, width) {
        Ok(hashes) => {
            assert_eq!(hashes.len(), width);
            assert_eq!(tile_bytes(&hashes), rest);
        }
        Err(_) => assert_ne!(rest.len(), 32 * width),
    }
    if let Ok(entries) = parse_bundle(rest, width) {
        assert_eq!(entries.len(), width);
        let again = bundle_bytes(entries.iter().copied()).expect("they were in a bundle");
        assert_eq!(again, rest);
        assert!(parse_bundle(rest, width + 1).is_err());
        assert!(width == 0 || parse_bundle(rest, width - 1).is_err());
    }
});
