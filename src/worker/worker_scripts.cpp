// Worker: its scripts, and what they ask it to do.

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "dissect/registry.h"
#include "io/http_client.h"
#include "worker/worker.h"

namespace baleen::worker {
namespace {

/// A request as a script has put it; the answer's body.
Result<std::string> send(io::HttpClient& client, const script::HttpRequest& request) {
  io::HttpRequest out;
  out.method = request.method;
  out.url = request.url;
  out.body = as_bytes(request.body);
  const auto headers = nlohmann::json::parse(request.headers.empty() ? "{}" : request.headers, nullptr, false);
  if (headers.is_object())
    for (auto h = headers.begin(); h != headers.end(); ++h)
      out.headers.emplace_back(h.key(), h->is_string() ? h->get<std::string>() : h->dump());
  out.total_timeout = std::chrono::seconds(30);
  BALEEN_TRY(io::HttpAnswer answer, client.send(out));
  return std::move(answer.body);
}

}  // namespace

std::string env_json(const ScriptingConfig& scripting) {
  auto env = nlohmann::json::object();
  for (const auto& [name, value] : scripting.env) env[name] = nlohmann::json::parse(value, nullptr, false);
  return env.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::string> Worker::upload(const script::Upload& upload, const char* scheme) const {
  BALEEN_TRY(const auto store, open_store({scheme, upload.bucket, ""}, upload.credentials));
  BALEEN_TRY_DO(store->put_file(upload.object, upload.path, {}));
  return fmt::format("https://storage.googleapis.com/{}/{}", upload.bucket, upload.object);
}

Result<> Worker::clear(const script::Upload& upload, const char* scheme) const {
  BALEEN_TRY(const auto store, open_store({scheme, upload.bucket, ""}, upload.credentials));
  store::ListOptions list;
  list.prefix = upload.object;
  do {
    BALEEN_TRY(const store::ListPage page, store->list(list));
    for (const store::ObjectFacts& object : page.objects)
      if (const auto removed = store->remove(object.key); !removed && removed.error().code != Code::kNotFound)
        return removed.error();
    list.page_token = page.next_page_token;
  } while (!list.page_token.empty());
  return {};
}

Result<> Worker::start_scripts() {
  const ScriptingConfig& scripting = options_.config.scripting;
  script::HostOptions host;
  host.scripts_folder = scripting.source;
  host.script_files = scripting.sources;
  host.active = scripting.active;
  host.watch = scripting.watch;
  host.env_json = env_json(scripting);
  host.data_folder = data_folder_ + "/worker";
  host.node_name = node_name_;
  host.node_ip = node_ip_;
  host.run_id = run_id_;
  host.feeds = shards_.size();
  host.kfl.protocols = dissect::cards();
  host.kfl.macros = options_.config.macros;

  script::HostCallbacks callbacks;
  callbacks.console = options_.console;
  callbacks.pcap_path = [this](const std::string& stream) { return packet_files_->stream(stream); };
  callbacks.snapshot = [this](const script::SnapshotRequest& request) -> Result<std::string> {
    BALEEN_TRY_DO(packet_files_->snapshot(request.streams, request.folder, request.output));
    return request.output;
  };
  callbacks.name_resolution_history = [] { return std::string("{}"); };
  callbacks.gcs_put = [this](const script::Upload& u) { return upload(u, "gs"); };
  callbacks.gcs_clear = [this](const script::Upload& u) { return clear(u, "gs"); };
  callbacks.http = [client = std::make_shared<io::HttpClient>()](const script::HttpRequest& request) {
    return send(*client, request);
  };
  scripts_ = std::make_unique<script::ScriptHost>(std::move(host), std::move(callbacks));
  return scripts_->start();
}

}  // namespace baleen::worker
