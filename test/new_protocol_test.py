#!/usr/bin/env python3
"""What tools/new_protocol.py writes compiles, passes its own tests and its fuzz target replays its seed.

    new_protocol_test.py SOURCE_DIR COMPILER "FLAGS" LIBRARY...
"""
import pathlib
import subprocess
import sys
import tempfile


def main():
    source, compiler, flags, libraries = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(), sys.argv[4:]
    # All that src/dissect and what is below it link: a build that compiles files together takes more of them in.
    others = ["simdjson", "nghttp2", "z", "brotlidec", "zstd", "snappy", "lz4", "crypto"]
    libraries = ["-Wl,--start-group", *libraries, "-Wl,--end-group", *(f"-l{name}" for name in others)]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "src/dissect").mkdir(parents=True)
        table = root / "src/dissect/protocols.def"
        table.write_text("BALEEN_PROTOCOL(http, Http)\n")
        tool = [sys.executable, source / "tools/new_protocol.py"]
        subprocess.run(tool + ["sample", "Sample", "4321", "--root", root], check=True)
        assert table.read_text().endswith("BALEEN_PROTOCOL(sample, Sample)\n")
        for wrong in (["sample", "Sample", "4321"], ["Bad", "Sample", "1"], ["good", "bad", "1"], ["good", "Good", "0"]):
            refused = subprocess.run(tool + wrong + ["--root", root], capture_output=True, text=True)
            assert refused.returncode != 0 and "new_protocol:" in refused.stderr, wrong
        made = root / "src/dissect/sample"
        common = [compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-Wno-unused-parameter", *flags,
                  f"-I{root}/src", f"-I{source}/src", str(made / "sample.cpp")]
        subprocess.run(common + [str(made / "sample_test.cpp"), "-o", str(root / "test"), *libraries, "-lgmock",
                                 "-lgtest", "-lgtest_main", "-lfmt", "-lpthread"], check=True)
        subprocess.run([root / "test"], check=True)
        subprocess.run(common + [str(made / "sample_fuzz.cpp"), str(source / "cmake/fuzz_replay_main.cpp"), "-o",
                                 str(root / "fuzz"), *libraries, "-lfmt", "-lpthread"], check=True)
        subprocess.run([root / "fuzz", made / "corpus"], check=True)


if __name__ == "__main__":
    main()
