#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/token_cache.h"

namespace baleen::store::gcs {

using Credentials = TokenSource;

/// A service account's key, as its JSON file has it. A JWT signed with it is changed for a token at its "token_uri"
/// (RFC 7523).
Result<std::unique_ptr<Credentials>> service_account(std::string_view key_json, std::string source);
/// Any file that GOOGLE_APPLICATION_CREDENTIALS may name: service_account, authorized_user, external_account.
Result<std::unique_ptr<Credentials>> from_file(const std::string& path);
/// The machine's own account, from the metadata server of Compute Engine and of GKE's Workload Identity.
std::unique_ptr<Credentials> metadata_server();
/// Application default credentials, in Google's order: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata
/// server.
Result<std::unique_ptr<Credentials>> application_default();

}  // namespace baleen::store::gcs
