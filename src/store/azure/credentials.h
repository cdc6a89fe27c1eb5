#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "io/http_client.h"
#include "store/object_store.h"
#include "store/token_cache.h"

namespace baleen::store::azure {

/// An account and what opens it: its key, a shared access signature, or a token.
struct Access {
  std::string account;
  std::string endpoint;  // "https://ACCOUNT.blob.core.windows.net", with the account in its path for an emulator
  std::string key;       // decoded bytes; a secret
  std::string sas;       // "sv=...&sig=...", without a question mark; a secret
  std::unique_ptr<TokenSource> tokens;
  std::string identity;  // for messages; never a secret
};

/// What the options bring, else AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, else a
/// token: workload identity, a client's secret, the machine's managed identity. The account is the location's, the
/// options' or AZURE_STORAGE_ACCOUNT.
Result<Access> find_access(const std::string& account_of_location, const OpenOptions& options);

/// Federated credentials of a Kubernetes service account: AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID, AZURE_TENANT_ID,
/// AZURE_AUTHORITY_HOST. The file is read anew each time.
std::unique_ptr<TokenSource> workload_identity();
/// AZURE_CLIENT_ID with AZURE_CLIENT_SECRET.
std::unique_ptr<TokenSource> client_secret();
/// The machine's identity, or App Service's (IDENTITY_ENDPOINT).
std::unique_ptr<TokenSource> managed_identity();

/// Signs with the account's key (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key): adds
/// x-ms-date and Authorization over the method, the resource and the headers that are there.
void sign(io::HttpRequest& request, const std::string& account, const std::string& key, Timestamp now);
/// The first step of signing, apart for tests. Its Content-Length is that of the request's body.
std::string string_to_sign(const io::HttpRequest& request, const std::string& account);

}  // namespace baleen::store::azure
