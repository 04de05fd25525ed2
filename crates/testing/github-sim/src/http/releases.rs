//! The releases of actions/runner, from which machines get their runner.

use serde_json::{Value, json};

use crate::forms::objects as form;
use crate::http::answer::Answer;
use crate::state::State;
use crate::time;

/// The releases of actions/runner, newest first; a prerelease is never the latest.
pub(crate) fn answer(state: &State, latest: bool) -> Answer {
    let release = |found: &Option<(String, Vec<u8>)>, prerelease| {
        found.as_ref().map(|(version, archive)| release(state, version, archive, prerelease))
    };
    let (newest, newer) = (release(&state.release, false), release(&state.prerelease, true));
    if latest {
        return newest.map_or_else(Answer::not_found, |release| Answer::json(200, release));
    }
    Answer::json(200, newer.into_iter().chain(newest).collect())
}

fn release(state: &State, version: &str, archive: &[u8], prerelease: bool) -> Value {
    let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, archive));
    let id = if prerelease { 2 } else { 1 };
    let at = format!("{}/repos/actions/runner/releases/{id}", state.base);
    let author = form::user(state, state.owners.keys().next().map_or("nobody", String::as_str));
    let path = if prerelease { "prerelease.tar.gz" } else { "runner.tar.gz" };
    let asset = |number: u64, platform: &str| {
        let id = 10 * id + number;
        json!({
            "id": id, "node_id": format!("RA_{id}"), "url": format!("{at}/assets/{id}"), "browser_download_url": format!("{}/_release/{path}", state.base),
            "name": format!("actions-runner-{platform}-{version}.tar.gz"), "label": null, "state": "uploaded", "content_type": "application/gzip",
            "size": archive.len(), "digest": format!("sha256:{digest}"), "download_count": 0, "created_at": time::text(0), "updated_at": time::text(0), "uploader": author,
        })
    };
    json!({
        "id": id, "node_id": format!("RE_{id}"), "url": at, "assets_url": format!("{at}/assets"), "upload_url": format!("{at}/assets"), "html_url": at,
        "tarball_url": null, "zipball_url": null, "tag_name": format!("v{version}"), "target_commitish": "main", "name": format!("v{version}"),
        "body": "", "draft": false, "prerelease": prerelease, "created_at": time::text(0), "published_at": time::text(0), "author": author,
        "assets": [asset(1, "linux-x64"), asset(2, "linux-arm64")],
    })
}
