'use strict';

// node hcl2json.js FILE: what HashiCorp's parser reads, as JSON; exit status 1 and its message where it refuses the file.
const fs = require('fs');
const { parse } = require(`${process.env.NODE_MODULES}/@cdktf/hcl2json`);

parse(process.argv[2], fs.readFileSync(process.argv[2], 'utf8')).then(
  (read) => console.log(JSON.stringify(read)),
  (error) => {
    console.error(String(error));
    process.exitCode = 1;
  }
);
