// The register map's part on the function as a whole: reset, status, EEPROM, semaphores, security blocks.

import { one, type RegisterDef } from './register-def.ts';
import * as R from './regs.ts';

/** 2^(7 + 6) words: 128 Kb (control/eeprom.ts). */
const EEC_SIZE_128K = 7 << R.EEC_SIZE_SHIFT;

export const CONTROL_REGISTERS: readonly RegisterDef[] = [
  one(
    'CTRL',
    R.CTRL,
    'hook',
    0,
    'Device control; the reset bits clear themselves 1 us after they were written',
    'GIO_DIS 2, LNK_RST 3, RST 26',
    [{ offset: 0x00004, stride: 0, count: 1 }],
  ),
  one(
    'STATUS',
    R.STATUS,
    'hook',
    0,
    'Device status',
    'LAN_ID 3:2 (port), LINK_UP 7, GIO_MASTER_ENABLE 19',
  ),
  one(
    'CTRL_EXT',
    R.CTRL_EXT,
    'hook',
    0,
    'Extended control; EXTENDED_VLAN: every frame has an outer tag (EXVET) that is left alone',
    'PFRSTD 14, NS_DIS 16, EXTENDED_VLAN 26, DRV_LOAD 28',
  ),
  one('ESDP', R.ESDP, 'rw', 0, 'Pins of the SFP cage; kept, no effect'),
  one('FRTIMER', R.FRTIMER, 'hook', 0, 'Free running timer, us'),
  one(
    'TCPTIMER',
    R.TCPTIMER,
    'hook',
    0,
    'TCP timer: raises EICR.TCP_TIMER when it has counted down',
    'DURATION 7:0 in ms, KICK_START 8 (loads and starts), COUNT_EN 9, COUNT_FINISH 10 (raises at once), LOOP 11',
  ),
  one(
    'EEC',
    R.EEC,
    'hook',
    R.EEC_PRES | R.EEC_ARD | R.EEC_ADDR_SIZE | EEC_SIZE_128K,
    'EEPROM control: present, 128 Kb; the auto-read is done 2 ms after a reset; a request is granted at once',
    'REQ 6, GNT 7, PRES 8, ARD 9, ADDR_SIZE 10, SIZE 14:11',
  ),
  one(
    'EERD',
    R.EERD,
    'hook',
    R.EERD_DONE,
    'EEPROM read: DONE 10 us after START, with the word in DATA',
    'START 0, DONE 1, ADDR 15:2, DATA 31:16',
  ),
  one(
    'EEWR',
    R.EEWR,
    'hook',
    R.EERD_DONE,
    'EEPROM write, as EERD; lasts over resets',
    'START 0, DONE 1, ADDR 15:2, DATA 31:16',
  ),
  one('GRC', R.GRC, 'rw', 0, 'Manageability; kept, no effect'),
  one(
    'SWSM',
    R.SWSM,
    'hook',
    0,
    'Software semaphore of the card, shared by its functions: reading takes SMBI; firmware never holds SWESMBI',
    'SMBI 0, SWESMBI 1',
  ),
  one('FWSM', R.FWSM, 'ro', 0, 'Firmware semaphore: no firmware'),
  one(
    'GSSR',
    R.GSSR,
    'hook',
    0,
    'SW_FW_SYNC of the card, shared by its functions',
    'SW 4:0, FW 9:5',
  ),
  one(
    'SECTXCTRL',
    R.SECTXCTRL,
    'hook',
    1,
    'Security block, transmit; there is no security, TX_DIS stops transmission',
    'SECTX_DIS 0, TX_DIS 1, STORE_FORWARD 2',
  ),
  one('SECTXSTAT', R.SECTXSTAT, 'ro', R.SECTXSTAT_RDY, 'Security block, transmit: empty', 'RDY 0'),
  one('SECTXBUFFAF', R.SECTXBUFFAF, 'rw', 0x250, 'Kept, no effect'),
  one('SECTXMINIFG', R.SECTXMINIFG, 'rw', 1, 'Kept, no effect'),
  one(
    'SECRXCTRL',
    R.SECRXCTRL,
    'hook',
    1,
    'Security block, receive; RX_DIS: frames are dropped as with RXCTRL.RXEN clear',
    'SECRX_DIS 0, RX_DIS 1',
  ),
  one('SECRXSTAT', R.SECRXSTAT, 'ro', R.SECRXSTAT_RDY, 'Security block, receive: empty', 'RDY 0'),
];
