#include "launch/data/file_magic.h"

namespace trireme {
namespace {

using namespace std::string_view_literals;

constexpr auto unpack = "unpack it first";
constexpr auto inflate = "inflate it first, for example with zlib-flate -uncompress";
constexpr auto columns = "write its text, or its token ids, into a text or .bin file first";
constexpr auto extract = "extract its text first";
constexpr auto weights = "a model is given by model.hf; data needs text, or a .bin token file";
constexpr auto no_text = "data needs text, or a .bin token file";

constexpr FileMagic magics[] = {
    // Compressed.
    {"\x1f\x8b"sv, "gzip", "gunzip it first"},
    {"BZh"sv, "bzip2", "bunzip2 it first", 4, "1AY&SY"sv},
    {"BZh"sv, "bzip2", "bunzip2 it first", 4, "\x17rE8P\x90"sv},
    {"\xfd"
     "7zXZ\0"sv,
     "xz", "unxz it first"},
    {"\x5d\0\0"sv, "lzma", "unlzma it first", 5, "\xff\xff\xff\xff\xff\xff\xff\xff"sv},
    {"\x28\xb5\x2f\xfd"sv, "zstd", "unzstd it first"},
    // Of a known size below 2^40; the compressed bytes begin with a zero.
    {"\x5d\0\0"sv, "lzma", "unlzma it first", 10, "\0\0\0\0"sv},
    {"\x04\x22\x4d\x18"sv, "lz4", "unlz4 it first"},
    {"\x02\x21\x4c\x18"sv, "lz4", "unlz4 it first"},  // legacy
    {"x\x01"sv, "zlib", inflate},
    {"x\x9c"sv, "zlib", inflate},
    {"LZIP\x01"sv, "lzip", unpack},
    {"\x89LZO\0\r\n\x1a\n"sv, "lzop", unpack},
    {"\x1f\x9d"sv, "compress (.Z)", "uncompress it first"},
    {"\xff\x06\0\0sNaPpY"sv, "snappy", unpack},
    // Archives; zip is looked into elsewhere.
    {"7z\xbc\xaf\x27\x1c"sv, "7z", unpack},
    {"Rar!\x1a\x07"sv, "rar", unpack},
    {""sv, "tar", "untar it first", 257, "ustar\0"sv},
    {""sv, "tar", "untar it first", 257, "ustar  \0"sv},
    {"!<arch>\n"sv, "ar (a .deb or .a file)", unpack},
    {"\xed\xab\xee\xdb"sv, "rpm", unpack},
    {"WARC/1."sv, "WARC", extract},
    // Arrays and tables.
    {"\x93NUMPY"sv, "npy (a NumPy array)", "write its token ids into a .bin token file first"},
    {"PAR1\x15"sv, "parquet", columns},
    {"PARE\x15"sv, "parquet (encrypted)", columns},
    {"ARROW1\0\0"sv, "arrow (feather)", columns},
    {"\xff\xff\xff\xff"sv, "arrow (a stream)", columns},
    {"FEA1\0\0\0\0"sv, "feather", columns},
    {"Obj\x01"sv, "avro", columns},
    {"\x89HDF\r\n\x1a\n"sv, "HDF5", columns},
    {"CDF\x01"sv, "NetCDF", columns},
    {"CDF\x02"sv, "NetCDF", columns},
    {"SQLite format 3\0"sv, "SQLite", columns},
    {"MATLAB 5.0 MAT-file"sv, "a MATLAB file", columns},
    {"MMIDIDX\0\0"sv, "a Megatron index",
     "the tokens are in the file beside it; write them into a .bin token file first"},
    {"(lp0\n"sv, "a Python pickle", columns},
    {"]q\0"sv, "a Python pickle", columns},
    {"}q\0"sv, "a Python pickle", columns},
    {"(dp0\n"sv, "a Python pickle", columns},
    // Documents.
    {"%PDF-1."sv, "PDF", extract},
    {"%PDF-2."sv, "PDF", extract},
    {"%!PS-Adobe-"sv, "PostScript", extract},
    {"{\\rtf1"sv, "RTF", extract},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an Office document (doc, xls or ppt)", extract},
    // Models.
    {"GGUF"sv, "GGUF", weights, 5, "\0\0\0"sv},
    // Pictures, sound, video.
    {"\x89PNG\r\n\x1a\n"sv, "a PNG picture", no_text},
    {"\xff\xd8\xff"sv, "a JPEG picture", no_text},
    {"GIF87a"sv, "a GIF picture", no_text},
    {"GIF89a"sv, "a GIF picture", no_text},
    {"II*\0"sv, "a TIFF picture", no_text},
    {"MM\0*"sv, "a TIFF picture", no_text},
    {"RIFF"sv, "a WebP picture", no_text, 8, "WEBP"sv},
    {"RIFF"sv, "WAV sound", no_text, 8, "WAVE"sv},
    {"RIFF"sv, "an AVI video", no_text, 8, "AVI "sv},
    {"ID3"sv, "MP3 sound", no_text, 4, "\0"sv},
    {"OggS\0"sv, "Ogg sound", no_text},
    {"fLaC\0"sv, "FLAC sound", no_text},
    {"\0\0"sv, "an MP4 video", no_text, 4, "ftyp"sv},
    {"\x1a\x45\xdf\xa3"sv, "a Matroska video", no_text},
    // Programs.
    {"\x7f"
     "ELF"sv,
     "ELF (a program)", no_text},
    {"MZ"sv, "a Windows program", no_text, 3, "\0"sv},
    {"\xcf\xfa\xed\xfe"sv, "a macOS program", no_text},
    {"\xca\xfe\xba\xbe"sv, "a Java class or a macOS program", no_text},
    {"\0asm"sv, "WebAssembly", no_text},
};

}  // namespace

std::span<const FileMagic> file_magics() { return magics; }

}  // namespace trireme
