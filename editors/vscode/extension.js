// Starts `lms lsp` for .lms files. Colours and brackets work without it.

const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const command = workspace.getConfiguration("lms").get("command");
  client = new LanguageClient("lms", "lms", { command, args: ["lsp"] }, { documentSelector: [{ language: "lms" }] });
  return client.start();
};

exports.deactivate = () => client && client.stop();
