#include "worker/control.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "worker/worker.h"

namespace baleen::worker {
namespace {

using nlohmann::json;

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "baleen-control-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto opened = record::Recordings::open(recordings_options(Config(), folder_, {}));
    EXPECT_TRUE(opened) << opened.error().message;
    recordings_ = *std::move(opened);
  }
  ~ControlTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  static json parse(const std::string& text) {
    EXPECT_EQ(text.find('\n'), std::string::npos) << "one line";
    return json::parse(text);
  }
  std::string folder_;
  std::unique_ptr<record::Recordings> recordings_;
};

constexpr const char* kCreate =
    R"({"command":"create","recording":{"name":"a","pattern":"http","destination":"gs://b/p"}})";

TEST_F(ControlTest, Commands) {
  Control control(*recordings_,
                  {[](const std::string& name) { return R"({"uploads":{"of":")" + name + R"("}})"; }, {}, {}});
  struct Row {
    const char* request;
    bool ok;
    const char* pointer;  // into the answer
    json value;
  };
  const Row rows[] = {
      {R"({"command":"list"})", true, "/result", json::array()},
      {kCreate, true, "/result/state/phase", "running"},
      {kCreate, false, "/error/code", "conflict"},
      {R"({"command":"list","search":"HTTP"})", true, "/result/0/name", "a"},
      {R"({"command":"list","search":"dns"})", true, "/result", json::array()},
      {R"({"command":"show","name":"a"})", true, "/result/uploads/of", "a"},
      {R"({"command":"show","name":"b"})", false, "/error/message", "there is no recording 'b'"},
      {R"({"command":"pause","name":"a"})", true, "/result/state/phase", "paused"},
      {R"({"command":"resume","name":"a"})", true, "/result/state/phase", "running"},
      {R"({"command":"extend","name":"a","by":"1h"})", false, "/error/code", "invalid"},
      {R"({"command":"extend","name":"a","by":"much"})", false, "/error/code", "invalid"},
      {R"({"command":"stop","name":"a"})", true, "/result/state/phase", "stopped"},
      {R"({"command":"delete","name":"a"})", true, "/result", json::object()},
      {R"({"command":"delete","name":"a"})", false, "/error/code", "not found"},
      {R"({"command":"puase","name":"a"})", false, "/error/message",
       "there is no command 'puase'; did you mean 'pause'?"},
      {R"({"command":"pause"})", false, "/error/code", "invalid"},
      {R"({"command":5})", false, "/error/code", "invalid"},
      {R"([])", false, "/error/code", "invalid"},
      {"", false, "/error/code", "invalid"},
      {"\xff", false, "/error/code", "invalid"},
      {R"({"command":"create","recording":{"name":"../x","pattern":"http","destination":"x"}})", false, "/error/code",
       "invalid"},
      {R"({"command":"create","recording":{"name":"x","pattern":"htp and","destination":"x"}})", false, "/error/code",
       "invalid"},
  };
  for (const Row& row : rows) {
    const json answer = parse(control.answer(row.request));
    EXPECT_EQ(answer["ok"], row.ok) << row.request << answer;
    EXPECT_EQ(answer.value(json::json_pointer(row.pointer), json()), row.value) << row.request << answer;
  }
}

/// What ends, ends after what came before; and a change is answered when packets to come are taken under it.
TEST_F(ControlTest, ChangesAreInForceWhenTheyAreAnswered) {
  std::vector<std::string> order;
  bool timely = true;
  Control control(
      *recordings_,
      {{}, [&] { return order.push_back("catch up"), timely; }, [&] { return order.push_back("in force"), timely; }});
  const auto said = [&](const std::string& request) {
    order.clear();
    return parse(control.answer(request));
  };
  EXPECT_EQ(said(kCreate).value("note", ""), "");
  EXPECT_EQ(order, (std::vector<std::string>{"in force"}));
  said(R"({"command":"pause","name":"a"})");
  EXPECT_EQ(order, (std::vector<std::string>{"catch up", "in force"}));
  said(R"({"command":"resume","name":"a"})");
  EXPECT_EQ(order, (std::vector<std::string>{"in force"}));
  said(R"({"command":"show","name":"a"})");
  EXPECT_TRUE(order.empty());
  said(R"({"command":"resume","name":"nobody"})");
  EXPECT_TRUE(order.empty()) << "nothing has changed";
  timely = false;
  const json stopped = said(R"({"command":"stop","name":"a"})");
  EXPECT_TRUE(stopped.at("ok")) << "it is done all the same";
  EXPECT_NE(stopped.value("note", "").find("behind"), std::string::npos) << stopped;
  said(R"({"command":"delete","name":"a"})");
  EXPECT_EQ(order, (std::vector<std::string>{"catch up"})) << "who is behind is not waited for twice";
}

TEST_F(ControlTest, UploadsTellWhatWaitsAndWhy) {
  record::Recorder::Status s;
  s.waiting["a"] = {3, 4000, now() - std::chrono::seconds(60), 1, 700, 8, 90'000, 2, "404: no such bucket"};
  s.spool.waiting_blocks = 5;
  s.spool.waiting_bytes = 9000;
  s.spool.uploaded_bytes = 3000;
  s.spool.upload_time = std::chrono::milliseconds(1500);
  s.spool.last_error = "503: the bucket is away";
  s.ledger.items_seen = 9;
  s.ledger.items_refused_spool = 9;
  const json a = json::parse(uploads_json(s, "a")), b = json::parse(uploads_json(s, "b"));
  EXPECT_EQ(a["uploads"]["waiting_blocks"], 3);
  EXPECT_EQ(a["uploads"]["waiting_bytes"], 4000);
  EXPECT_EQ(a["uploads"]["uploading_blocks"], 1);
  EXPECT_EQ(a["uploads"]["sent_bytes"], 700);
  EXPECT_EQ(a["uploads"]["uploaded_blocks"], 8);
  EXPECT_EQ(a["uploads"]["uploaded_bytes"], 90'000);
  EXPECT_NEAR(a["uploads"]["oldest_age_seconds"].get<double>(), 60, 5);
  EXPECT_EQ(a["uploads"]["failed_tries"], 2);
  EXPECT_EQ(a["uploads"]["last_error"], "404: no such bucket");
  EXPECT_EQ(b["uploads"]["last_error"], "") << "another one's trouble";
  EXPECT_EQ(a["uploads"]["node"]["waiting_blocks"], 5);
  EXPECT_EQ(a["uploads"]["node"]["bytes_per_second"], 2000.0);
  EXPECT_EQ(a["uploads"]["node"]["last_error"], "503: the bucket is away");
  EXPECT_EQ(a["ledger"]["items_refused_spool"], 9);
  EXPECT_EQ(a["ledger"]["balances"], true);
  EXPECT_EQ(b["uploads"]["waiting_blocks"], 0);
  EXPECT_EQ(b["uploads"]["oldest_age_seconds"], 0.0);
}

TEST_F(ControlTest, TheSocketIsItsOwnersAndAnswersMany) {
  Control control(*recordings_, {});
  const std::string run = folder_ + "/run" + std::string(200, 'x');  // longer than an address of a socket
  EXPECT_EQ(ask_worker(run, "{}").error().code, Code::kNotFound);
  {
    auto socket = ControlSocket::open(run, [&](std::string_view line) { return control.answer(line); });
    ASSERT_TRUE(socket) << socket.error().message;
    struct stat facts{};
    ASSERT_EQ(::stat((run + "/control.sock").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0600u);
    ASSERT_EQ(::stat(run.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0700u);
    std::vector<std::thread> clients;
    std::atomic<int> good{0};
    for (int i = 0; i < 8; ++i)
      clients.emplace_back([&] {
        for (int n = 0; n < 50; ++n)
          if (const auto answer = ask_worker(run, R"({"command":"list"})");
              answer && *answer == R"({"ok":true,"result":[]})")
            ++good;
      });
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(good, 400);
    EXPECT_FALSE(ask_worker(run, std::string(ControlSocket::kLongestLine + (64 << 10), 'x'))) << "it is cut off";
    EXPECT_TRUE(ask_worker(run, kCreate)) << "and the others go on";
  }
  EXPECT_EQ(ask_worker(run, "{}").error().code, Code::kNotFound);
}

TEST_F(ControlTest, WhatADeadProcessLeftIsReplaced) {
  const std::string run = folder_ + "/run";
  const auto echo = [](std::string_view line) { return std::string(line); };
  const pid_t child = ::fork();
  if (child == 0) {
    auto socket = ControlSocket::open(run, echo);
    ::_exit(socket ? 0 : 1);  // without unlinking it
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::exists(run + "/control.sock"));
  EXPECT_EQ(ask_worker(run, "x").error().code, Code::kNotFound);
  auto socket = ControlSocket::open(run, echo);
  ASSERT_TRUE(socket);
  EXPECT_EQ(*ask_worker(run, "x"), "x");
}

}  // namespace
}  // namespace baleen::worker
