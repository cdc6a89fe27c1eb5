#pragma once

#include <chrono>
#include <string>

#include "record/recorder.h"

namespace baleen::record {

// What the files of Recorder share.

constexpr auto kLate = std::chrono::seconds(2);      // in which a stream that has ended may still get packets
constexpr auto kLogAgain = std::chrono::minutes(1);  // an error that stays
constexpr size_t kLogged = 16;                       // errors in that time
constexpr size_t kEndedStreams = 1 << 16;            // that are remembered
constexpr size_t kFinishingWhileWaiting = 2;         // blocks that are closed and not finished, when the input can wait

/// The same recording to the same place.
inline std::string place_of(const Recording& recording) { return recording.name + "\n" + recording.destination; }

}  // namespace baleen::record
