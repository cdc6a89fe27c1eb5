#include "worker/metrics.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "io/http_client.h"
#include "io/page_server.h"

namespace baleen::worker {
namespace {

WorkerStatus sample() {
  WorkerStatus s;
  s.capture.packets = 12'345'678'901;
  s.recorder.ledger.items_seen = s.recorder.ledger.items_stored = 7;
  s.recorder.spool.upload_time = std::chrono::milliseconds(1500);
  record::RecordingStatus r;
  r.definition.name = "with \"quotes\" and \\";
  r.phase = record::Phase::kRunning;
  r.items = 5;
  s.recordings.push_back(r);
  s.recorder.waiting[r.definition.name] = {2, 300, now() - std::chrono::seconds(100), 1, 70, 8, 90'000};
  s.scripts.push_back({"a.js", "A", true, "", 3});
  return s;
}

/// {name="value"}, with quotes and backslashes escaped in the value.
bool are_labels(std::string_view text) {
  const size_t quote = text.find("=\"");
  if (!text.starts_with('{') || quote == std::string_view::npos || !text.ends_with("\"}")) return false;
  const std::string_view value = text.substr(quote + 2, text.size() - quote - 4);
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') return false;
    if (value[i] == '\\' && ++i == value.size()) return false;
  }
  return true;
}

/// The page as Prometheus reads it: name and labels to value. Fails on what it would refuse.
std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> out;
  std::set<std::string> typed;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::string name, kind;
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      std::istringstream(line.substr(7)) >> name >> kind;
      EXPECT_TRUE(typed.insert(name).second) << "twice: " << line;
      EXPECT_EQ(name.ends_with("_total"), kind == "counter") << line;
      EXPECT_TRUE(kind == "counter" || kind == "gauge") << line;
      continue;
    }
    name = line.substr(0, line.find_first_of("{ "));
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << line;
    EXPECT_TRUE(typed.contains(name)) << line;
    const size_t end = line.rfind(' ');
    const std::string labels = line.substr(name.size(), end - name.size());
    EXPECT_TRUE(labels.empty() || are_labels(labels)) << line;
    size_t read = 0;
    const double value = std::stod(line.substr(end + 1), &read);
    EXPECT_EQ(read, line.size() - end - 1) << line;
    EXPECT_TRUE(out.emplace(name + labels, value).second) << line;
  }
  return out;
}

TEST(Metrics, ArePrometheusText) {
  const auto m = parse(metrics_text(sample()));
  EXPECT_EQ(m.at("baleen_capture_packets_total"), 12'345'678'901.0);
  EXPECT_EQ(m.at("kubeshark_received_packets_total"), 12'345'678'901.0);
  EXPECT_EQ(m.at("baleen_ledger_items_stored_total"), 7);
  EXPECT_EQ(m.at("baleen_ledger_balanced"), 1);
  EXPECT_EQ(m.at("baleen_upload_seconds_total"), 1.5);
  const std::string labels = R"({recording="with \"quotes\" and \\"})";
  EXPECT_EQ(m.at("baleen_recording_items_total" + labels), 5);
  EXPECT_EQ(m.at("baleen_recording_waiting_blocks" + labels), 2);
  EXPECT_NEAR(m.at("baleen_recording_lag_seconds" + labels), 100, 5);
  EXPECT_EQ(m.at(R"(baleen_script_errors_total{script="a.js"})"), 3);
  parse(metrics_text(WorkerStatus()));
}

TEST(Metrics, TheReferenceIsNotStale) {
  const std::string path = std::string(BALEEN_SOURCE_DIR) + "/docs/reference/metrics.md";
  if (::getenv("BALEEN_UPDATE_GOLDENS") != nullptr) std::ofstream(path) << metrics_reference();
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), metrics_reference()) << "BALEEN_UPDATE_GOLDENS=1 writes it";
}

TEST(Metrics, AreServed) {
  int calls = 0;
  auto server = io::PageServer::listen("127.0.0.1:0", {{"/metrics", "text/plain; version=0.0.4", [&] {
                                                          ++calls;
                                                          return metrics_text(sample());
                                                        }}});
  ASSERT_TRUE(server) << server.error().message;
  const std::string base = "http://127.0.0.1:" + std::to_string((*server)->port());
  io::HttpClient client;
  for (int i = 1; i <= 3; ++i) {
    io::HttpRequest request;
    request.url = base + "/metrics";
    const auto answer = client.send(request);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(parse(answer->body).at("baleen_ledger_items_seen_total"), 7);
    EXPECT_EQ(calls, i);
  }
  io::HttpRequest other;
  other.url = base + "/etc/passwd";
  EXPECT_EQ(client.send(other)->status, 404);
  other.method = "POST";
  other.url = base + "/metrics";
  EXPECT_NE(client.send(other)->status, 200);
  EXPECT_FALSE(io::PageServer::listen("127.0.0.1:" + std::to_string((*server)->port()), {})) << "it is taken";
  for (const char* wrong : {"", "here", "127.0.0.1", ":", ":x", ":99999", "127.0.0.1:-1", "300.1.1.1:80"})
    EXPECT_FALSE(io::PageServer::listen(wrong, {})) << wrong;
}

}  // namespace
}  // namespace baleen::worker
