#include "launch/data/file_kind.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "launch/data/json_head.h"
#include "launch/data/token_file.h"
#include "runtime/base/error.h"

using namespace trireme;
using namespace std::string_literals;

namespace {

std::string kind_of(const std::string& head, ReadAs read_as = ReadAs::text) {
  const auto kind = foreign_kind(head, static_cast<Bytes>(head.size()), read_as);
  return kind ? kind->name : "";
}

/// A head that something of that kind has.
struct Sample {
  std::string name, head;
};

// The start of a zip whose first file has that name.
std::string zip(const std::string& name) {
  const std::string length = {static_cast<char>(name.size()), '\0'};
  return "PK\3\4\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0\5\0\0\0\5\0\0\0"s + length + "\0\0"s + name + "hello";
}

std::string tar(const std::string& magic) {
  std::string head = "text.txt"s + std::string(92, '\0') + "0000644\0" + "0000000\0" + "0000000\0";
  head.resize(257);
  return head + magic + std::string(300, '\0');
}

// Before POSIX: no magic, but a sum that fits.
std::string old_tar(const std::string& sum) {
  std::string head =
      "text.txt"s + std::string(92, '\0') + "0000644\0"s + "0001750\0"s + "0001750\0"s + "00000000012\0"s;
  head += "14772343210\0"s + sum + std::string(8 - sum.size(), '\0');
  head.resize(512);
  return head + "some text\n" + std::string(502, '\0');
}

std::string wide(const std::string& text, std::size_t width, bool big_endian) {
  std::string out;
  for (const char c : text) {
    std::string character(width, '\0');
    character[big_endian ? width - 1 : 0] = c;
    out += character;
  }
  return out;
}

const std::vector<Sample> compressed_and_archives = {
    {"gzip", "\x1f\x8b\x08\x08\x5a\x11\x2a\x6a\0\3text.txt\0"s},
    {"gzip", "\x1f\x8b\x08\0\0\0\0\0\2\xff"s},
    {"bzip2", "BZh91AY&SY\x9e\x2a\x91\xc2\0\0"s},
    {"bzip2", "BZh9\x17rE8P\x90\0\0\0\0"s},  // of an empty file
    {"xz",
     "\xfd"
     "7zXZ\0\0\4\xe6\xd6\xb4\x46"s},
    {"lzma", "\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0"s},
    // As xz writes it, whose sizes are known.
    {"lzma", "\x5d\0\0\x80\0\x0b\0\0\0\0\0\0\0\0\x34\x19\x49\xee"s},
    {"lzma", "\x5d\0\0\x04\0\x40\x42\x0f\0\0\0\0\0\0\x34\x19\x49\xee"s},
    {"zlib", "\x78\x01\xcb\x48\xcd\xc9\xc9\x57\x28\xcf\x2f\xca\x49\x01\0\x1a\x0b\x04\x5d"s},
    {"zlib", "\x78\x5e\xcb\x48\xcd\xc9\xc9\x57\x28\xcf\x2f\xca\x49\x01\0\x1a\x0b\x04\x5d"s},
    {"zlib", "\x78\x9c\xcb\x48\xcd\xc9\xc9\x57\x28\xcf\x2f\xca\x49\x01\0\x1a\x0b\x04\x5d"s},
    {"zlib", "\x78\xda\xcb\x48\xcd\xc9\xc9\x57\x28\xcf\x2f\xca\x49\x01\0\x1a\x0b\x04\x5d"s},
    {"zstd", "\x28\xb5\x2f\xfd\x24\x06\x31\0\0"s},
    {"zstd", "\x50\x2a\x4d\x18\x04\0\0\0\xf0\x01\0\0\x28\xb5\x2f\xfd"s},
    {"zstd", "\x5f\x2a\x4d\x18\x02\0\0\0hi\x28\xb5\x2f\xfd"s},
    {"lz4", "\x02\x21\x4c\x18\x11\0\0\0"s},
    {"tar", old_tar("006260")},
    {"tar", old_tar("   6260")},
    {"lz4", "\x04\x22\x4d\x18\x64\x40\xa7"s},
    {"zip", zip("text.txt")},
    {"zip", "PK\5\6"s + std::string(18, '\0')},
    {"npz (NumPy arrays)", zip("tokens.npy")},
    {"an Office document (docx, xlsx or pptx)", zip("[Content_Types].xml")},
    {"an OpenDocument or EPUB file", zip("mimetype")},
    {"a PyTorch file", zip("archive/data.pkl")},
    {"7z", "7z\xbc\xaf\x27\x1c\0\4"s},
    {"rar", "Rar!\x1a\x07\1\0"s},
    {"tar", tar("ustar\0"s + "00")},
    {"tar", tar("ustar  \0"s)},
};

const std::vector<Sample> arrays_and_tables = {
    {"npy (a NumPy array)", "\x93NUMPY\1\0\x76\0{'descr': '<u2', 'fortran_order': False, 'shape': (10,), }"s},
    {"parquet", "PAR1\x15\4\x15\x3c\x15\x3e"s},
    {"arrow (feather)", "ARROW1\0\0\xff\xff\xff\xff\x78\0\0\0"s},
    {"arrow (a stream)", "\xff\xff\xff\xff\x78\0\0\0\x10\0\0\0"s},
    {"HDF5", "\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0"s},
    {"SQLite", "SQLite format 3\0\x10\0\1\1"s},
    {"avro",
     "Obj\1\4\x14"
     "avro.codec"s},
    {"ORC", "ORC\x0a\x0b\x0a\4\0\0\0\0\x12\x03"s},
    {"a Megatron index", "MMIDIDX\0\0\1\0\0\0\0\0\0\0\x08"s},
    {"a Python pickle", "\x80\4\x95\x0b\0\0\0\0\0\0\0]\x94("s},
    {"a Python pickle", "\x80\2}q\0(X"s},
    {"a Python pickle", "}q\0U\4text"s},
    {"a Python pickle", "(dp0\nS'text'\np1\n"s},
};

const std::vector<Sample> documents_models_media = {
    {"PDF", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"s},
    {"RTF", "{\\rtf1\\ansi Hello}"s},
    {"an Office document (doc, xls or ppt)", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"s},
    {"safetensors", "\x10\0\0\0\0\0\0\0{\"a\":[1,2,3]}   data"s},
    {"a PyTorch file", "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3."s},
    {"a SentencePiece model", "\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\2\n\x0c\n\3<s>"s},
    {"a SentencePiece model", "\n\x0e\n\x05<pad>\x15\0\0\0\0\x18\3\n\x0d\n\4</s>"s},
    {"GGUF", "GGUF\3\0\0\0\x23\1\0\0"s},
    {"a PNG picture", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"s},
    {"a JPEG picture", "\xff\xd8\xff\xe0\0\x10JFIF"s},
    {"a BMP picture", "BM\x1a\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0"s},
    {"WAV sound", "RIFF\x24\x08\0\0WAVEfmt "s},
    {"MP3 sound", "ID3\4\0\0\0\0\x0f\x76"s},
    {"an MP4 video",
     "\0\0\0\x20"
     "ftypisom"s},
    {"ELF (a program)",
     "\x7f"
     "ELF\2\1\1\0"s},
    {"a Windows program", "MZ\x90\0\3\0\0\0"s},
    {"a git-lfs pointer",
     "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb\nsize 12345\n"s},
    {"a git-annex pointer", "/annex/objects/MD5E-s12345--0cc175b9c0f1b6a831c399e269772661.txt\n"s},
};

const std::vector<Sample> text_alone = {
    {"a token file", "\x88\xd8\x34\1\1\0\0\0\x0a\0\0\0"s},
    {"a token file", "\xa1\xd9\x34\1\7\0\0\0\x0a\0\0\0"s},
    {"weights of a GPT-2 model (llm.c)", "\xc6\xd7\x34\1\3\0\0\0"s},
    {"a state to debug with (llm.c)", "\xc7\xd7\x34\1\2\0\0\0"s},
    {"a tokenizer (llm.c)", "\xc8\xd7\x34\1\2\0\0\0"s},
    {"questions of an evaluation (llm.c)", "\x8a\xd8\x34\1\1\0\0\0"s},
    {"the state of an optimizer (llm.c)", "\x8f\xd8\x34\1\1\0\0\0"s},
    {"weights of a Llama-3 model (llm.c)", "\xa3\xd9\x34\1\3\0\0\0"s},
    {"UTF-16 text, or raw 16-bit token ids", "\xff\xfeh\0i\0"s},
    {"UTF-16 text, or raw 16-bit token ids", "\xfe\xff\0h\0i"s},
    {"UTF-16 text, or raw 16-bit token ids", wide("It was a dark and stormy night.", 2, false)},
    {"UTF-16 text, or raw 16-bit token ids", wide("It was a dark and stormy night.", 2, true)},
    // Cyrillic: only blanks have a zero. And a character whose other byte is zero, among a line's ASCII.
    {"UTF-16 text, or raw 16-bit token ids",
     "\x1f\4@\4 \0\x32\4 \0\x3d\4\x35\4 \0\x38\4 \0\x3c\4\x4b\4 \0\x3d\4\x30\4 \0\x38\4\x45\4 \0\x34\4 \0\x3e\4"s},
    {"UTF-16 text, or raw 16-bit token ids", wide("one, two, three: ", 2, false) + "\0\x4e"s},
    {"UTF-32 text, or raw 32-bit token ids", "\xff\xfe\0\0h\0\0\0i\0\0\0"s},
    {"UTF-32 text, or raw 32-bit token ids", "\0\0\xfe\xff\0\0\0h"s},
    {"UTF-32 text, or raw 32-bit token ids", wide("night", 4, false)},
    {"UTF-32 text, or raw 32-bit token ids", wide("night", 4, true)},
};

const std::vector<Sample> json_texts = {
    {"JSON lines", "{\"text\": \"Once upon a time\"}\n{\"text\": \"there was\"}\n"},
    {"JSON lines", "{\"text\":\"caf\xc3\xa9\",\"meta\":{\"n\":1,\"list\":[1,2.5,null,true]}}\r\n{}\r\n"},
    {"JSON lines", "\xef\xbb\xbf{\"text\": \"behind a byte order mark\"}\n"},
    {"JSON lines", "{\"text\": \"" + std::string(5000, 'x')},  // longer than the head that is looked at
    {"JSON lines", "{\"score\": NaN, \"text\": \"a\"}\n{\"score\": 1.0, \"text\": \"b\"}\n"},
    {"JSON lines", "{\"range\": [-Infinity, Infinity], \"text\": \"NaN \\\"quoted\\\"\"}\n"},
    {"JSON lines", "\n{\"text\": \"behind an empty line\"}\n"},
    {"JSON lines", " \t{\"text\": \"behind blanks\"}\n"},
    {"JSON lines", "\xef\xbb\xbf\r\n\r\n{\"text\": \"behind both\"}\r\n"},
    {"JSON lines", "[\"one document\", 1]\n[\"another\", 2]\n"},
    {"JSON lines", "[464, 3290, NaN]\n\n[464, 3290, 318]\n"},
    {"JSON lines", "[\"a\"]\n[\"b" + std::string(5000, 'x')},
    {"JSON", "\n\n[{\"text\": \"a\"},\n {\"text\": \"b\"}]\n"},
    {"JSON", "{\n  \"data\": [\n    {\"text\": \"a\"}\n  ]\n}\n"},
    {"JSON", "[{\"text\": \"a\"},\n {\"text\": \"b\"}]\n"},
    {"JSON", "[\"one document\", \"another\", \"" + std::string(5000, 'x')},
    {"JSON", "[\n  {\n    \"text\": \"" + std::string(5000, 'x')},
};

void check_all(const std::vector<Sample>& samples, ReadAs read_as) {
  for (const Sample& sample : samples) {
    CAPTURE(sample.name, sample.head);
    CHECK(kind_of(sample.head, read_as) == sample.name);
  }
}

std::string message_of(const std::string& path) {
  try {
    const TokenFile file(path);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("foreign_kind: what is neither text nor tokens is called by its name") {
  for (const ReadAs read_as : {ReadAs::text, ReadAs::tokens}) {
    check_all(compressed_and_archives, read_as);
    check_all(arrays_and_tables, read_as);
    check_all(documents_models_media, read_as);
    check_all(json_texts, read_as);
  }
  check_all(text_alone, ReadAs::text);
  for (const Sample& sample : text_alone) CHECK(kind_of(sample.head, ReadAs::tokens).empty());
}

TEST_CASE("foreign_kind: a head that is cut anywhere is looked at no further than it goes") {
  for (const auto* samples :
       {&compressed_and_archives, &arrays_and_tables, &documents_models_media, &text_alone, &json_texts})
    for (const Sample& sample : *samples)
      for (std::size_t bytes = 0; bytes < std::min<std::size_t>(sample.head.size(), 600); ++bytes) {
        const std::string name = kind_of(sample.head.substr(0, bytes));
        CAPTURE(sample.name, bytes, name);
        CHECK((bytes >= 2 || name.empty()));
      }
}

TEST_CASE("foreign_kind: prose that starts with the letters of a kind is text") {
  const std::vector<std::string> texts = {
      "",
      "x",
      "{",
      "[",
      "PK is short for Phil Katz.",
      "PK\n",
      "BZh is no word",
      "BZh9 and so on",
      "PAR1 is a label",
      "BM 12",
      "ORC\nThe orcs came down.",
      "ORCHID",
      "MZ is a pair of letters",
      "GGUF, a format",
      "%PDF- is how PDF files start",
      "ID3 tags",
      "RIFFRAFF",
      "Rar! it said",
      "7z is an archiver",
      "SQLite format 3 is a format",
      "MM*",
      "NUMPY",
      "HDF5",
      "ELF",
      "PNG",
      "version https is a start",
      "version 1\n",
      "(lp, he said",
      "OggS",
      "Object",
      "ustar",
      "FEA1 (a band)",
      "CDF of a normal",
      "{so it goes}\nand on",
      "{\"quoted\"} text in braces",
      "{\"a\": 1} is what JSON looks like\n",
      "{}\nempty braces",
      "[1] A. Author, A Title, 1999.\n[2] B. Author, Another.\n",
      "[\"Hello\", she said, and went on.]",
      "[]",
      "[Music]\n",
      "{ \"a\": broken }\n",
      "{'text': 'python'}\n",
      "text\n{\"text\": \"JSON behind a line of text is wanted as it is\"}\n",
      "[1, 2]\nare two numbers",
      "[NaN]\n",
      "x^2 + y^2 = z^2\n",
      "x\xda in Latin-1",
      "x\xda\x84 in Arabic",
      "P*M is a product",
      "]0, 1[ is an open interval",
      "\"A quoted start\", said he",
      "12\n13\n",
      "null and void",
      "\n\nA blank line\n",
      "\n\x0c\nform feed",
      "\t\n",
      "\xef\xbb\xbf"
      "A byte order mark is said, not refused",
      "caf\xe9 in Latin-1",
      "\xce\x9a\xce\xb1\xce\xbb\xce\xb7\xce\xbc\xce\xad\xcf\x81\xce\xb1",
      "\xe4\xb8\x80\xe4\xba\x8c\xe4\xb8\x89",
      "\x80\x93 in Windows-1252",
      "one document\0two documents\0three of them\0four of them, all ended by zero\0"s,
      "aaa\0bb\0"s};
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(kind_of(text).empty());
    CHECK(kind_of(text, ReadAs::tokens).empty());
  }
  CHECK(has_utf8_mark("\xef\xbb\xbf"));
  CHECK_FALSE(has_utf8_mark("\xef\xbb"));
}

TEST_CASE("json_head: an object on the first line, or a value over several, that has keys or is all there is") {
  CHECK(json_head("{\"a\": 1}") == JsonHead::lines);
  CHECK(json_head("{\"a\": 1}  \t\n{") == JsonHead::lines);
  CHECK(json_head("{\"a\":\n1}") == JsonHead::document);
  CHECK(json_head("[{\"a\": 1}]") == JsonHead::document);
  CHECK(json_head("[\"a\", \"b\"]\n") == JsonHead::document);
  CHECK(json_head("[[1, 2], [3, ") == JsonHead::document);
  CHECK(json_head("{\"a\": [1, 2") == JsonHead::lines);
  CHECK(json_head("{\"a\": tru") == JsonHead::lines);
  CHECK(json_head(" {\"a\": 1}") == JsonHead::lines);
  CHECK(json_head("[1, 2]\n[3, 4]\n") == JsonHead::lines);
  CHECK(json_head("[1]\n[2") == JsonHead::lines);
  CHECK(json_head("{\"a\": \"\xe4\xb8") == JsonHead::lines);  // cut within a character
  for (const char* text : {"", "{", "{}", "[1]", "[]", "[\"a\"]", "[1, 2]\n3, 4\n", "[[", "{\"a", "{\"a\" 1}",
                           "{\"a\": 1}}", "{\"a\": 1} b", "\"a\": 1", "[1]\n[", "[]\n[]\n", "a {\"a\": 1}"}) {
    CAPTURE(text);
    CHECK_FALSE(json_head(text).has_value());
  }
}

TEST_CASE("TokenFile: a file of another kind is refused by name, with what to do") {
  const auto write = [](const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  };
  const std::string gzip = "\x1f\x8b\x08\0\0\0\0\0\0\3"s + std::string(3000, 'x');
  CHECK_THAT(message_of(write("kind.txt", gzip)),
             Catch::Contains("kind.txt: its first bytes say gzip, not text; gunzip it first"));
  CHECK_THAT(message_of(write("kind.bin", gzip)),
             Catch::Contains("kind.bin: its first bytes say gzip, not a token file; gunzip"));
  CHECK_THAT(message_of(write("kind.txt", "{\"text\": \"a\"}\n")),
             Catch::Contains("JSON lines") && Catch::Contains("jq -r .text"));
  CHECK_THAT(message_of(write("kind.txt", wide("wide text", 2, false))), Catch::Contains("iconv -f UTF-16 -t UTF-8"));
  CHECK_THAT(message_of(write("kind.bin", zip("archive/data.pkl"))),
             Catch::Contains("a PyTorch file, not a token file"));
  CHECK_THAT(message_of(write("kind.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")),
             Catch::Contains("a git-lfs pointer") && Catch::Contains("git lfs pull"));
  CHECK_THAT(message_of(write("kind.txt", "\xff\xd8")), Catch::Contains("no error"));
  CHECK_THAT(message_of(write("kind.txt", "x")), Catch::Contains("no error"));
  CHECK_THAT(message_of(write("kind.txt", "")), Catch::Contains("empty"));
  // A token file under another name, and what tokenize would make of an archive.
  write("kind_text.txt", "some text");
  write_token_file("kind.bin", std::vector<std::string>{"kind_text.txt"});
  CHECK(message_of("kind.bin") == "no error");
  std::filesystem::rename("kind.bin", "kind.tokens");
  CHECK_THAT(message_of("kind.tokens"), Catch::Contains("a token file, not text; give it a name that ends in .bin"));
  write("kind.txt", gzip);
  CHECK_THROWS_WITH(write_token_file("kind_out.bin", std::vector<std::string>{"kind_text.txt", "kind.txt"}),
                    Catch::Contains("kind.txt: its first bytes say gzip"));
  CHECK_FALSE(std::filesystem::exists("kind_out.bin"));
}
