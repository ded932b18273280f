// Steering registers of a function: RSS with its extension block, queue filters, Flow Director with its commands.
//
// A Flow Director command is executed some time after FDIRCMD was written (steering/fdir-commands.ts); CMD reads non-zero until the
// last one is done. A packet sees the table as it is when it arrives.

import { splitChanged } from './mac/flow-control-registers.ts';
import type { PciFunction } from './function.ts';
import { FdirCommands } from './steering/fdir-commands.ts';
import { swap32 } from './steering/queue-filters.ts';
import type { FdirCommand } from './steering/flow-director.ts';
import { X_RETA_WORDS } from './steering/regs.ts';
import * as S from './steering/regs.ts';
import * as R from './regs.ts';
import { isPlainRss, type RssContext } from './table/rss.ts';

/** Installs the hooks. */
export function wireSteering(fn: PciFunction): void {
  wireRss(fn);
  wireExtension(fn);
  wireFilters(fn);
  wireMasks(fn);
  wireFlowDirector(fn);
  wireFlowDirectorCounters(fn);
}

/** As after a reset of the function. */
export function resetSteering(fn: PciFunction): void {
  const { steering } = fn;
  fn.rss.reset();
  steering.ethertype.etqf.fill(0);
  steering.ethertype.etqs.fill(0);
  const tuple = steering.fiveTuple;
  for (const words of [tuple.saqf, tuple.daqf, tuple.sdpqf, tuple.ftqf, tuple.l34timir])
    words.fill(0);
  tuple.reorder();
  tuple.lowLatencyBytes = 0;
  steering.synqf = 0;
  steering.imirvp = 0;
  const fdir = steering.flowDirector;
  fdir.configure(0);
  fdir.bucketKey = fn.registers.peek(S.FDIRHKEY);
  fdir.signatureKey = fn.registers.peek(S.FDIRSKEY);
  decodeMasks(fn);
  fn.fdirCommands.abort();
  steering.update();
}

function setBytes(bytes: Uint8Array, at: number, value: number): void {
  for (let b = 0; b < 4; b++) if (at + b < bytes.length) bytes[at + b] = (value >>> (8 * b)) & 255;
}

function getBytes(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let b = 3; b >= 0; b--) value = (value << 8) | (bytes[at + b] ?? 0);
  return value >>> 0;
}

function wireRss(fn: PciFunction): void {
  const regs = fn.registers;
  regs.onWrite('MRQC', (_i, value) => {
    fn.rss.mrqc = value;
    splitChanged(fn);
  });
  regs.onWrite('RETA', (i, value) => setBytes(fn.rss.reta, 4 * i, value));
  regs.onRead('RETA', (i) => getBytes(fn.rss.reta, 4 * i));
  regs.onWrite('RSSRK', (i, value) => {
    setBytes(fn.rss.key, 4 * i, value);
    fn.rss.keyChanged();
  });
  regs.onRead('RSSRK', (i) => getBytes(fn.rss.key, 4 * i));
}

function wireExtension(fn: PciFunction): void {
  const regs = fn.registers;
  const { config, contexts } = fn.rss;
  const selected = (): RssContext => contexts[regs.peek(S.X_RSSCTX)] ?? contexts[0];
  const caps = config.tableEntries | (config.contexts << 16) | (config.keyBytes << 24);
  regs.onRead('X_RSSCAP', () => (isPlainRss(config) ? 0 : caps));
  regs.onRead('X_RSSQBITS', () => config.entryBits);
  regs.onWrite('X_RSSCTX', (_i, value) => {
    if (value >= contexts.length) regs.poke(S.X_RSSCTX, 0);
  });
  regs.onWrite('X_RSSFUNC', (_i, value) => {
    const context = selected();
    context.func = (value & 0xff) === S.RSS_FUNC_XOR ? S.RSS_FUNC_XOR : S.RSS_FUNC_TOEPLITZ;
    context.isSymmetric = (value & S.RSS_SYMMETRIC_XOR) !== 0;
  });
  regs.onRead('X_RSSFUNC', () => {
    const { func, isSymmetric } = selected();
    return func | (isSymmetric ? S.RSS_SYMMETRIC_XOR : 0);
  });
  regs.onWrite('X_RSSKEY', (i, value) => {
    setBytes(selected().key, 4 * i, value);
    selected().keyChanged();
  });
  regs.onRead('X_RSSKEY', (i) => getBytes(selected().key, 4 * i));
  regs.onWrite('X_RETA', (i, value) => setBytes(selected().reta, 4 * i, value));
  regs.onRead('X_RETA', (i) => getBytes(selected().reta, 4 * i));
  const upper = 4 * X_RETA_WORDS;
  regs.onWrite('X_RETA_256_UP', (i, value) => setBytes(selected().reta, upper + 4 * i, value));
  regs.onRead('X_RETA_256_UP', (i) => getBytes(selected().reta, upper + 4 * i));
}

function wireFilters(fn: PciFunction): void {
  const regs = fn.registers;
  const { ethertype, fiveTuple } = fn.steering;
  const onWords = (name: string, words: Uint32Array): void =>
    regs.onWrite(name, (i, value) => {
      words[i] = value;
      fn.steering.update();
    });
  onWords('ETQF', ethertype.etqf);
  onWords('ETQS', ethertype.etqs);
  onWords('SAQF', fiveTuple.saqf);
  onWords('DAQF', fiveTuple.daqf);
  onWords('SDPQF', fiveTuple.sdpqf);
  regs.onWrite('L34TIMIR', (i, value) => {
    fiveTuple.l34timir[i] = value;
    fiveTuple.reorder();
    fn.steering.update();
  });
  regs.onWrite('LLITHRESH', (_i, value) => {
    fiveTuple.lowLatencyBytes = value & S.LLITHRESH_SIZE_MASK;
  });
  regs.onWrite('IMIRVP', (_i, value) => {
    fn.steering.imirvp = value;
    fn.steering.update();
  });
  regs.onWrite('FTQF', (i, value) => {
    fiveTuple.ftqf[i] = value;
    fiveTuple.reorder();
    fn.steering.update();
  });
  regs.onWrite('SYNQF', (_i, value) => {
    fn.steering.synqf = value;
    fn.steering.update();
  });
}

/** Each 16-bit half with its bits in the other order. */
export function reverseHalves(value: number): number {
  let out = 0;
  for (let bit = 0; bit < 16; bit++) {
    if (((value >>> bit) & 1) !== 0) out |= 1 << (15 - bit);
    if (((value >>> (16 + bit)) & 1) !== 0) out |= 1 << (31 - bit);
  }
  return out >>> 0;
}

function wireMasks(fn: PciFunction): void {
  const names = ['FDIRM', 'FDIRSIP4M', 'FDIRDIP4M', 'FDIRTCPM', 'FDIRUDPM', 'FDIRIP6M'];
  for (const name of names) fn.registers.onWrite(name, () => decodeMasks(fn));
}

function decodeMasks(fn: PciFunction): void {
  const regs = fn.registers;
  const { mask } = fn.steering.flowDirector;
  const fdirm = regs.peek(S.FDIRM);
  const has = (bit: number): boolean => (fdirm & bit) !== 0;
  mask.vlan = (has(S.FDIRM_VLANID) ? 0 : 0x0fff) | (has(S.FDIRM_VLANP) ? 0 : 0xe000);
  mask.flex = has(S.FDIRM_FLEX) ? 0 : 0xffff;
  mask.l4 = has(S.FDIRM_L4P) ? 0 : 3;
  mask.src = ~swap32(regs.peek(S.FDIRSIP4M));
  mask.dst = ~swap32(regs.peek(S.FDIRDIP4M));
  mask.tcpPorts = portMask(regs.peek(S.FDIRTCPM));
  mask.udpPorts = portMask(regs.peek(S.FDIRUDPM));
  const ignored = regs.peek(S.FDIRIP6M);
  for (let word = 0; word < 8; word++) {
    let bytes = 0;
    for (let b = 0; b < 4; b++)
      bytes = (bytes << 8) | ((ignored >>> (4 * word + b)) & 1 ? 0 : 0xff);
    mask.ipv6[word] = bytes;
  }
}

/** The register has the destination in its upper half; keys have the source there. */
function portMask(value: number): number {
  const ignored = reverseHalves(value);
  return ~((ignored >>> 16) | (ignored << 16));
}

function wireFlowDirector(fn: PciFunction): void {
  const regs = fn.registers;
  const fdir = fn.steering.flowDirector;
  const commands = fn.fdirCommands;
  regs.onWrite('FDIRHKEY', (_i, value) => {
    fdir.bucketKey = value;
  });
  regs.onWrite('FDIRSKEY', (_i, value) => {
    fdir.signatureKey = value;
  });
  regs.onWrite('FDIRCTRL', (_i, value) => {
    regs.poke(S.FDIRCTRL, value & ~S.FDIRCTRL_INIT_DONE);
    fdir.configure(value);
    fn.steering.update();
    commands.initialise();
  });
  regs.onRead('FDIRCTRL', () => {
    commands.settle();
    return regs.peek(S.FDIRCTRL);
  });
  regs.onWrite('FDIRCMD', (_i, value) => {
    if ((value & S.FDIRCMD_CLEARHT) !== 0) fdir.clear();
    if ((value & S.FDIRCMD_CMD_MASK) !== 0) commands.begin(takeCommand(fn, value));
  });
  regs.onRead('FDIRCMD', () => {
    commands.settle();
    return regs.peek(S.FDIRCMD);
  });
}

/** The commands of a function's Flow Director, and what their end changes in its registers. */
export function makeFdirCommands(fn: PciFunction): FdirCommands {
  const regs = fn.registers;
  const fdir = fn.steering.flowDirector;
  const commands = new FdirCommands(fn.ctx.scheduler, fdir, {
    initialised: () => {
      regs.poke(S.FDIRCTRL, regs.peek(S.FDIRCTRL) | S.FDIRCTRL_INIT_DONE);
      fn.steering.update();
    },
    executed: (answer, isAdd) => {
      if (!commands.isBusy) {
        const cleared = S.FDIRCMD_CMD_MASK | S.FDIRCMD_FILTER_VALID;
        regs.poke(S.FDIRCMD, ((regs.peek(S.FDIRCMD) & ~cleared) | answer) >>> 0);
      }
      const low = 16 * (regs.peek(S.FDIRCTRL) >>> S.FDIRCTRL_FULL_THRESH_SHIFT);
      if (isAdd && low > 0 && fdir.freeCount <= low) fn.msix.raiseOther(R.EICR_FLOW_DIR);
    },
  });
  return commands;
}

/** The command's registers as they are now. */
function takeCommand(fn: PciFunction, cmd: number): FdirCommand {
  const regs = fn.registers;
  const port = regs.peek(S.FDIRPORT);
  const vlan = regs.peek(S.FDIRVLAN);
  return {
    cmd,
    hash: regs.peek(S.FDIRHASH) & ~S.FDIRHASH_BUCKET_VALID,
    src: swap32(regs.peek(S.FDIRIPSA)),
    dst: swap32(regs.peek(S.FDIRIPDA)),
    ports: (port << 16) | (port >>> 16),
    vlan: vlan & 0xffff,
    flex: ((vlan >>> 24) & 0xff) | ((vlan >>> 8) & 0xff00),
    context: regs.peek(S.X_FDIRCTX),
  };
}

function wireFlowDirectorCounters(fn: PciFunction): void {
  const fdir = fn.steering.flowDirector;
  const half = (value: number): number => Math.min(value, 0xffff);
  const onRead = (name: string, read: () => number): void =>
    fn.registers.onRead(name, () => {
      fn.fdirCommands.settle();
      return read();
    });
  onRead('FDIRFREE', () => half(fdir.freeCount) | (Math.min(fdir.collisionCount, 0x7fff) << 16));
  onRead('FDIRLEN', () => {
    const value = Math.min(fdir.longestChain, 0x3f) | (fdir.longestHash << 16);
    fdir.longestChain = 0;
    return value;
  });
  onRead('FDIRUSTAT', () => {
    const value = half(fdir.added) | (half(fdir.removed) << 16);
    fdir.added = 0;
    fdir.removed = 0;
    return value;
  });
  onRead('FDIRFSTAT', () => {
    const value = Math.min(fdir.failedAdds, 0xff) | (Math.min(fdir.failedRemoves, 0xff) << 8);
    fdir.failedAdds = 0;
    fdir.failedRemoves = 0;
    return value;
  });
  onRead('FDIRMATCH', () => {
    const value = fdir.matched;
    fdir.matched = 0;
    return value;
  });
  onRead('FDIRMISS', () => {
    const value = fdir.missed;
    fdir.missed = 0;
    return value;
  });
}
