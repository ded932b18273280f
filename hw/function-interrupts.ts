// Interrupt registers of a function, and the mapping of queues to vectors (IVAR).

import type { PciFunction } from './function.ts';
import * as R from './regs.ts';

/** Installs the hooks. */
export function wireInterruptRegisters(fn: PciFunction): void {
  const regs = fn.registers;
  const msix = fn.msix;
  regs.onRead('EICR', () => msix.readEicr());
  regs.onWrite('EICR', (_i, value) => msix.clearCauses(value));
  regs.onRead('EICS', () => 0);
  regs.onWrite('EICS', (_i, value) => msix.setCauses(value));
  regs.onRead('EIMS', () => msix.eims);
  regs.onWrite('EIMS', (_i, value) => msix.setMask(value));
  regs.onRead('EIMC', () => 0);
  regs.onWrite('EIMC', (_i, value) => msix.clearMask(value));
  regs.onWrite('EIAC', (_i, value) => msix.setAutoClear(value));
  regs.onWrite('EIAM', (_i, value) => msix.setAutoMaskLow(value));
  regs.onWrite('GPIE', (_i, value) => {
    msix.gpie = value;
  });
  regs.onRead('EICS_EX', () => 0);
  regs.onWrite('EICS_EX', (i, value) => msix.setCausesEx(i, value));
  regs.onRead('EIMS_EX', (i) => msix.eimsEx(i));
  regs.onWrite('EIMS_EX', (i, value) => msix.setMaskEx(i, value));
  regs.onRead('EIMC_EX', () => 0);
  regs.onWrite('EIMC_EX', (i, value) => msix.clearMaskEx(i, value));
  regs.onWrite('EIAM_EX', (i, value) => msix.setAutoMask(i, value));
  regs.onWrite('EITR', (i, value) => msix.setInterval(i, value));
  regs.onRead('EITR', (i) => msix.eitr(i, regs.peek(R.EITR(i))));
  regs.onWrite('IVAR', (i, value) => {
    for (let b = 0; b < 4; b++) {
      const queue = 2 * i + (b >> 1);
      if (queue >= fn.rxVector.length) return;
      const vectors = (b & 1) === 0 ? fn.rxVector : fn.txVector;
      vectors[queue] = vectorOf(value >>> (8 * b), fn);
    }
  });
  regs.onWrite('IVAR_MISC', (_i, value) => {
    msix.tcpVector = vectorOf(value, fn);
    msix.otherVector = vectorOf(value >>> 8, fn);
  });
}

function vectorOf(byte: number, fn: PciFunction): number {
  const vector = byte & 0x3f;
  const isValid = (byte & R.IVAR_ALLOC_VAL) !== 0 && vector < fn.ctx.config.vectors;
  return isValid ? vector : -1;
}
