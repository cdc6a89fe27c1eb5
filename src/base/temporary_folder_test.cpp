#include "base/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace baleen {
namespace {

namespace fs = std::filesystem;

class TemporaryFolders : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "baleen-base-XXXXXX").string();
    own_ = ::mkdtemp(pattern.data());
    if (const char* now = ::getenv("TMPDIR")) before_ = now;
    ::setenv("TMPDIR", own_.c_str(), 1);
  }
  void TearDown() override {
    before_.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", before_.c_str(), 1);
    fs::remove_all(own_);
  }
  size_t folders() const { return static_cast<size_t>(std::distance(fs::directory_iterator(own_), {})); }

  /// A process that makes a folder with a file in it, waits, and is sent the signal; what it died of.
  int process_dies_of(int signal) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      TemporaryFolder folder;
      const auto path = folder.path();
      std::ofstream(*path + "/file") << "content";
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_EQ(folders(), 1u);
    ::kill(child, signal);
    int status = 0;
    ::waitpid(child, &status, 0);
    for (const int fd : ready) ::close(fd);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

  std::string own_, before_;
};

TEST_F(TemporaryFolders, AreTheUsersAloneAndGoWithTheirOwners) {
  {
    TemporaryFolder one, other, none;
    const std::string path = *one.path();
    EXPECT_EQ(*one.path(), path);
    EXPECT_NE(*other.path(), path);
    EXPECT_FALSE(none.made());
    struct stat facts;
    ASSERT_EQ(::stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0700u);
    std::ofstream(path + "/file") << "content";
    EXPECT_EQ(folders(), 2u) << "the second one has not swept the first one away";
  }
  EXPECT_EQ(folders(), 0u);
}

TEST_F(TemporaryFolders, GoWithASignalThatEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EQ(process_dies_of(signal), signal);
    EXPECT_EQ(folders(), 0u);
  }
}

TEST_F(TemporaryFolders, OfAProcessThatWasKilledAreSweptByTheNext) {
  EXPECT_EQ(process_dies_of(SIGKILL), SIGKILL);
  EXPECT_EQ(folders(), 1u);
  std::ofstream(own_ + "/of-others") << "content";
  TemporaryFolder next;
  ASSERT_TRUE(next.path());
  EXPECT_EQ(folders(), 2u);
  EXPECT_TRUE(fs::exists(own_ + "/of-others"));
}

TEST_F(TemporaryFolders, WhereNoneCanBeMadeItIsSaid) {
  ::setenv("TMPDIR", (own_ + "/absent").c_str(), 1);
  TemporaryFolder folder;
  const auto path = folder.path();
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().message.find("TMPDIR"), std::string::npos) << path.error().message;
}

}  // namespace
}  // namespace baleen
