// A process that is killed in the middle of an upload, and the next one, at real servers of each kind of bucket.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "record/block_writer.h"
#include "record/harness.h"
#include "record/spool.h"
#include "store/harness.h"
#include "store/retrying_store.h"

namespace baleen::record {
namespace {

/// A kind of bucket: its emulator, and the fault that stops its upload of the packets in the third part.
struct Kind {
  const char *name, *script, *fault;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

constexpr uint64_t kPart = 16 << 20;

class SpoolResume : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    std::string absent;
    server_ = store::Emulator::start(GetParam().script, {"--key", folder_ / "key.json"}, &absent);
    if (!server_) GTEST_SKIP() << GetParam().name << ": " << absent;
  }

  Result<std::unique_ptr<store::ObjectStore>> open_store(const store::Location& location) const {
    store::OpenOptions options;
    options.endpoint = server_->value("endpoint");
    if (location.scheme == "gs") options.gcs_service_account_json = read_whole(folder_ / "key.json");
    if (location.scheme == "s3") {
      options.s3_access_key = server_->value("access_key");
      options.s3_secret_key = server_->value("secret_key");
    }
    if (location.scheme == "azblob") options.azure_key = server_->value("key");
    BALEEN_TRY(auto inner, store::open(location, options));
    return std::unique_ptr<store::ObjectStore>(std::make_unique<store::RetryingStore>(std::move(inner)));
  }
  Result<std::unique_ptr<Spool>> open_spool() const {
    return Spool::open(folder_ / "spool", [this](const store::Location& location) { return open_store(location); },
                       {.spread = std::chrono::milliseconds(0), .part_bytes = kPart});
  }
  std::string destination() const {
    const std::string kind = GetParam().name;
    if (kind == "gs") return "gs://baleen-test.appspot.com/p";
    if (kind == "s3") return "s3://" + server_->value("bucket") + "/p";
    return "azblob://" + server_->value("container") + "@" + server_->value("account") + "/p";
  }

  /// A finished block of about 42 MB: three parts.
  void make_block() {
    auto spool = open_spool();
    ASSERT_TRUE(spool) << spool.error().message;
    const std::string folder = (*spool)->new_folder();
    auto block = BlockWriter::create(folder, {"shop", "http", destination(), "node-1", "", "0a1b2c3d", 1});
    ASSERT_TRUE(block) << block.error().message;
    for (uint64_t n = 0; n < 700; ++n) {
      const net::OwnedPacket packet = named_packet({1, n}, 60'000);
      ASSERT_TRUE((*block)->add_packet(stream_file(1), recorded(packet)));
    }
    ASSERT_TRUE((*block)->add_item(*http_item(pool_, 1, 0)));
    ASSERT_TRUE((*block)->finish({}, {}, PacketsAs::kOrder));
    ASSERT_TRUE((*spool)->ready(folder));
  }
  std::string block_folder() const {
    return std::filesystem::path(files_below(folder_ / "spool/ready", "block.json").at(0)).parent_path();
  }
  std::string session_file() const { return block_folder() + "/packets.pcapng.session"; }
  uint64_t received() const { return nlohmann::json::parse(server_->report())["received"].get<uint64_t>(); }

  /// A process of its own that uploads until it is killed, in the third part.
  void upload_and_die() {
    const pid_t child = ::fork();
    if (child == 0) {
      auto spool = open_spool();
      if (!spool) ::_exit(1);
      (*spool)->start();
      for (;;) ::pause();
    }
    const uint64_t two_parts = packets_of(block_folder()).size() / 3 * 2;
    const bool stuck = eventually(
        [&] { return received() >= two_parts && nlohmann::json::parse(server_->report())["faults"].get<int>() > 0; });
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(stuck) << server_->report();
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was in the middle of it";
  }

  /// The spool is emptied by this process; the bucket has all of it, whole.
  void finish(const std::string& packets) {
    auto spool = open_spool();
    ASSERT_TRUE(spool) << spool.error().message;
    (*spool)->start();
    ASSERT_TRUE(eventually([&] { return (*spool)->progress().uploaded_blocks == 1; }, std::chrono::seconds(60)))
        << (*spool)->progress().last_error;
    (*spool)->stop(std::chrono::seconds(10));
    EXPECT_TRUE(files_below(folder_ / "spool/ready").empty());

    const auto location = store::Location::parse(destination());
    ASSERT_TRUE(location);
    auto store = open_store(*location);
    ASSERT_TRUE(store);
    const auto page = (*store)->list({.prefix = location->key_prefix()});
    ASSERT_TRUE(page) << page.error().message;
    ASSERT_EQ(page->objects.size(), 3u);
    for (const store::ObjectFacts& object : page->objects) {
      const bool right = !object.key.ends_with(".pcapng") || (*store)->get(object.key).value_or("") == packets;
      EXPECT_TRUE(right) << object.key;
    }
  }

  ScratchFolder folder_;
  item::ItemPool pool_;
  std::unique_ptr<store::Emulator> server_;
};

TEST_P(SpoolResume, TheNextProcessGoesOnWhereTheKilledOneStood) {
  make_block();
  const std::string packets = packets_of(block_folder());
  ASSERT_GT(packets.size(), 2 * kPart);
  server_->control(GetParam().fault);
  upload_and_die();
  const std::string session = session_file();
  struct stat facts{};
  ASSERT_EQ(::stat(session.c_str(), &facts), 0) << "what the next process goes on with";
  EXPECT_EQ(facts.st_mode & 0777, 0600u) << "it opens the upload to whoever reads it";

  server_->control(R"({"faults":[]})");
  finish(packets);
  EXPECT_LE(received(), packets.size() + kPart) << "one part twice at most, and the two small objects";
}

TEST_P(SpoolResume, ASessionThatIsNoneBeginsAnew) {
  make_block();
  const std::string packets = packets_of(block_folder());
  write_whole(session_file(), "no session of anybody's");
  finish(packets);
}

/// A number of /proc/self/status, in bytes.
uint64_t status_bytes(const char* name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (uint64_t kib = 0; word == name && status >> kib) return kib * 1024;
  return 0;
}

TEST_P(SpoolResume, AnUploadTakesLittleMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps what is freed";
#endif
  make_block();
  int result[2];
  ASSERT_EQ(::pipe(result), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto spool = open_spool();
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew (proc(5))
    const uint64_t before = status_bytes("VmRSS:");
    if (spool) (*spool)->start();
    if (spool) (*spool)->stop(std::chrono::seconds(60));
    const uint64_t took = status_bytes("VmHWM:") - before;
    const bool done = spool && (*spool)->progress().uploaded_blocks == 1 && before != 0;
    ::_exit(done && ::write(result[1], &took, sizeof took) == sizeof took ? 0 : 1);
  }
  uint64_t took = 0;
  EXPECT_EQ(::read(result[0], &took, sizeof took), static_cast<ssize_t>(sizeof took));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(result[0]);
  ::close(result[1]);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  RecordProperty("bytes", static_cast<int>(took));
  EXPECT_LE(took, uint64_t{64} << 20) << "of a block of 42 MB";
}

INSTANTIATE_TEST_SUITE_P(
    Stores, SpoolResume,
    testing::Values(Kind{"gs", "gcs_emulator.js", R"({"faults":[{"match":"PUT .*upload_id","hold_at":35000000}]})"},
                    Kind{"s3", "s3_emulator.js", R"({"faults":[{"match":"PUT .*partNumber=3","delay_ms":60000}]})"},
                    // The third block's name ends in its number, as hex and base64: its request is not the first two.
                    Kind{"azblob", "azure_emulator.js",
                         R"({"faults":[{"match":"PUT .*comp=block&blockid=.*Mg%3D%3D","delay_ms":60000}]})"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace baleen::record
