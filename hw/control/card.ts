// What the functions of one card share besides packets: the EEPROM, and the semaphores by which their drivers keep out of
// each other's way (SWSM, SW_FW_SYNC; 82599 10.5.4).

import { SWSM_SMBI, SWSM_SWESMBI } from '../regs.ts';
import { eepromImage } from './eeprom.ts';

/** SW_FW_SYNC has ten flags; firmware's are never set here. */
const SYNC_MASK = 0x3ff;

export class Card {
  readonly eeprom: Uint16Array;
  private swsm = 0;
  private sync = 0;

  constructor(functions: number, macOf: (i: number) => readonly number[]) {
    this.eeprom = eepromImage(functions, macOf);
  }

  /** SWSM: answers the bits and takes SMBI. */
  readSwsm(): number {
    const value = this.swsm;
    this.swsm |= SWSM_SMBI;
    return value;
  }

  /** Without firmware SWESMBI is granted whenever it is asked for. */
  writeSwsm(value: number): void {
    this.swsm = value & (SWSM_SMBI | SWSM_SWESMBI);
  }

  readSync(): number {
    return this.sync;
  }

  writeSync(value: number): void {
    this.sync = value & SYNC_MASK;
  }
}
