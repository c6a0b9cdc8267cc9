#include "launch/command_line.h"

#include <CLI/CLI.hpp>

#include <sstream>

#include "runtime/base/error.h"

namespace trireme {
namespace {

CLI::App& add_verb(CLI::App& app, Command& command, Verb verb, const char* name, const char* help) {
  CLI::App& added = *app.add_subcommand(name, help);
  added.callback([&command, &added, verb] {
    command.verb = verb;
    command.train.overrides = added.remaining();
  });
  return added;
}

void add_config(CLI::App& verb, Command& command) {
  verb.add_option("config", command.train.config_path, "TOML file")->required();
  verb.allow_extras();  // keys of the configuration
}

void add_ranks(CLI::App& verb, Command& command) {
  verb.add_option("--ranks", command.ranks, "ranks of the run");
  verb.add_option("--ranks-per-node", command.ranks_per_node, "ranks that share a node; all, unless given");
  verb.add_option("--device-memory", command.device_memory, "refuse more than this, for example 80GiB");
}

void add_train(CLI::App& app, Command& command) {
  CLI::App& verb = add_verb(app, command, Verb::train, "train", "train a model: mpirun -n 2 trireme train run.toml");
  add_config(verb, command);
  verb.add_option("--sample", command.train.sample, "text to continue at the end");
  verb.add_option("--export", command.train.model_out.folder, "folder for the trained model, as Hugging Face has them");
  verb.add_option("--export-type", command.export_type, "f32, bf16 or f16; as in model.hf, or f32, unless given");
}

void add_plan(CLI::App& app, Command& command) {
  CLI::App& verb = add_verb(app, command, Verb::plan, "plan", "bytes of every rank, before anything runs");
  add_config(verb, command);
  add_ranks(verb, command);
  verb.add_flag("--json", command.json, "for scripts");
}

void add_schedule(CLI::App& app, Command& command) {
  CLI::App& verb = add_verb(app, command, Verb::schedule, "schedule", "the printed program of one rank");
  add_config(verb, command);
  add_ranks(verb, command);
  verb.add_option("--rank", command.rank, "whose program");
  verb.add_option("--schedule", command.schedule, "init or load, enter, step, validate or sample");
  verb.add_option("--after", command.after, "as it is after this pass, for example prefetch");
}

void add_tokenize(CLI::App& app, Command& command) {
  CLI::App& verb = add_verb(app, command, Verb::tokenize, "tokenize", "text files to one token file");
  verb.add_option("files", command.texts, "text files")->required();
  verb.add_option("--tokenizer", command.tokenizer, "byte");
  verb.add_option("-o,--output", command.output, "the token file")->required();
}

void add_checkpoint(CLI::App& app, Command& command) {
  CLI::App& group = *app.add_subcommand("checkpoint", "saved models");
  group.require_subcommand(1);
  CLI::App& verb = add_verb(group, command, Verb::checkpoint_export, "export", "a model folder, in another type");
  verb.add_option("--format", command.export_format, "hf")->required();
  verb.add_option("--type", command.export_type, "f32, bf16 or f16; as they are unless given");
  verb.add_option("folder", command.model_folder, "a Hugging Face model folder")->required();
  verb.add_option("out", command.train.model_out.folder, "the new folder")->required();
}

}  // namespace

Command parse_command(int argc, char** argv) {
  Command command;
  CLI::App app(
      "Trireme trains transformers across ranks with ZeRO-3. Any key of the configuration can be given as "
      "--section.key=value.",
      "trireme");
  app.require_subcommand(1);
  app.set_version_flag("--version", TRIREME_VERSION);
  add_train(app, command);
  add_plan(app, command);
  add_schedule(app, command);
  add_tokenize(app, command);
  add_checkpoint(app, command);
  add_verb(app, command, Verb::doctor, "doctor", "what a run on this machine would meet");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    require(error.get_exit_code() == 0, ErrorKind::config, "{}; trireme --help lists what there is", error.what());
    std::ostringstream text;  // --help, --version
    app.exit(error, text, text);
    return {.help = text.str()};
  }
  if (command.export_type.empty()) return command;
  require(!command.train.model_out.folder.empty(), ErrorKind::config,
          "--export-type without --export: give the folder, too");
  command.train.model_out.type = hf::parse_storage(command.export_type);
  return command;
}

}  // namespace trireme
