// Makes `npx flowtwin` work in this repository: npm links the programs of dependencies, not a package's own. Run by `prepare` after
// the build; does nothing where the package is installed as a dependency (npm has linked it there) or links do not work.

import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

const root = resolve(import.meta.dirname, '../../..');
const program = join(root, 'dist/src/node/cli.js');
const folder = join(root, 'node_modules/.bin');

if (process.platform !== 'win32' && existsSync(join(root, 'node_modules'))) {
  chmodSync(program, 0o755);
  mkdirSync(folder, { recursive: true });
  const link = join(folder, 'flowtwin');
  rmSync(link, { force: true });
  symlinkSync('../../dist/src/node/cli.js', link);
}
