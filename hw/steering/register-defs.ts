// The steering registers as data, for the register file and docs/registers.md.

import { many, one } from '../register-def.ts';
import type { RegisterDef } from '../register-def.ts';
import * as S from './regs.ts';

const FILTERS: readonly RegisterDef[] = [
  many('SAQF', S.SAQF, 128, 'hook', 0, '5-tuple filter: source address, first wire byte lowest'),
  many('DAQF', S.DAQF, 128, 'hook', 0, '5-tuple filter: destination address'),
  many('SDPQF', S.SDPQF, 128, 'hook', 0, '5-tuple filter: ports', 'source 15:0, destination 31:16'),
  many(
    'FTQF',
    S.FTQF,
    128,
    'hook',
    0,
    '5-tuple filter: control. Highest priority wins, then the lowest number',
    'PROTOCOL 1:0, PRIORITY 4:2, MASK 29:25 (1: not compared), QUEUE_EN 31',
  ),
  many('L34TIMIR', S.L34TIMIR, 128, 'hook', 0, '5-tuple filter: queue', 'RX_QUEUE 27:21'),
  many(
    'ETQF',
    S.ETQF,
    8,
    'hook',
    0,
    'EtherType filter: what',
    'ETYPE 15:0, UP 18:16, UP_EN 19, FILTER_EN 31',
  ),
  many('ETQS', S.ETQS, 8, 'hook', 0, 'EtherType filter: queue', 'RX_QUEUE 22:16, QUEUE_EN 31'),
  one(
    'SYNQF',
    S.SYNQF,
    'hook',
    0,
    'SYN filter',
    'ENABLE 0, RX_QUEUE 7:1, SYNQFP 31 (before the 5-tuple filters)',
  ),
];

const FLOW_DIRECTOR: readonly RegisterDef[] = [
  one(
    'FDIRCTRL',
    S.FDIRCTRL,
    'hook',
    0,
    'Flow Director control; a write empties the table, INIT_DONE follows',
    'PBALLOC 1:0, INIT_DONE 3, PERFECT 4, REPORT_STATUS 5, DROP_Q 14:8, FLEX 20:16, MAX_LENGTH 27:24, FULL_THRESH 31:28',
  ),
  many('FDIRSIPV6', S.FDIRSIPV6, 3, 'rw', 0, 'Kept, no effect (perfect filters are IPv4)'),
  one('FDIRIPSA', S.FDIRIPSA, 'rw', 0, 'Perfect filter: source address, first wire byte lowest'),
  one('FDIRIPDA', S.FDIRIPDA, 'rw', 0, 'Perfect filter: destination address'),
  one('FDIRPORT', S.FDIRPORT, 'rw', 0, 'Perfect filter: ports', 'source 15:0, destination 31:16'),
  one('FDIRVLAN', S.FDIRVLAN, 'rw', 0, 'Perfect filter', 'VLAN 15:0, FLEX 31:16 (wire order)'),
  one(
    'FDIRHASH',
    S.FDIRHASH,
    'rw',
    0,
    'Bucket hash and signature, or software index',
    'HASH 14:0, BUCKET_VALID 15, SIG_SW_INDEX 30:16',
  ),
  one(
    'FDIRCMD',
    S.FDIRCMD,
    'hook',
    0,
    'Command; CMD reads 0 again when it has been executed',
    'CMD 1:0 (1 add, 2 remove, 3 query), FILTER_VALID 2, FILTER_UPDATE 3, L4TYPE 6:5, IPV6 7, CLEARHT 8, DROP 9, LAST 11, COLLISION 12, QUEUE_EN 15, RX_QUEUE 22:16',
  ),
  one('FDIRFREE', S.FDIRFREE, 'hook', 0, 'Free filters', 'FREE 15:0, COLL 30:16'),
  one('FDIRDIP4M', S.FDIRDIP4M, 'hook', 0, 'Destination address mask, 1: not compared'),
  one('FDIRSIP4M', S.FDIRSIP4M, 'hook', 0, 'Source address mask'),
  one('FDIRTCPM', S.FDIRTCPM, 'hook', 0, 'TCP port mask, bit-reversed', 'source 15:0, dest 31:16'),
  one('FDIRUDPM', S.FDIRUDPM, 'hook', 0, 'UDP port mask, bit-reversed', 'source 15:0, dest 31:16'),
  one('FDIRLEN', S.FDIRLEN, 'hook', 0, 'Longest chain', 'MAXLEN 5:0, MAXHASH 30:16'),
  one('FDIRUSTAT', S.FDIRUSTAT, 'hook', 0, 'Cleared by reading', 'ADD 15:0, REMOVE 31:16'),
  one('FDIRFSTAT', S.FDIRFSTAT, 'hook', 0, 'Cleared by reading', 'FADD 15:0, FREMOVE 31:16'),
  one('FDIRMATCH', S.FDIRMATCH, 'hook', 0, 'Packets that matched a filter; cleared by reading'),
  one('FDIRMISS', S.FDIRMISS, 'hook', 0, 'Packets that matched none; cleared by reading'),
  one('FDIRHKEY', S.FDIRHKEY, 'hook', 0x80000001, 'Key of the bucket hash'),
  one('FDIRSKEY', S.FDIRSKEY, 'hook', 0x80800101, 'Key of the signature hash'),
  one(
    'FDIRM',
    S.FDIRM,
    'hook',
    0,
    'The one global mask: fields that are not compared',
    'VLANID 0, VLANP 1, POOL 2, L4P 3, FLEX 4, DIPV6 5',
  ),
  one('FDIRIP6M', S.FDIRIP6M, 'rw', 0, 'Kept, no effect'),
];

const EXTENSION: readonly RegisterDef[] = [
  one(
    'X_RSSCAP',
    S.X_RSSCAP,
    'hook',
    0,
    'Extension. Read only: RSS sizes',
    'RETA 15:0, CONTEXTS 23:16, KEY_BYTES 31:24',
  ),
  one('X_RSSCTX', S.X_RSSCTX, 'hook', 0, 'Extension. RSS context that the next three show'),
  one(
    'X_RSSFUNC',
    S.X_RSSFUNC,
    'hook',
    0,
    'Extension. Hash function',
    'FUNC 7:0 (0 Toeplitz, 1 XOR), SYMMETRIC_XOR 8',
  ),
  one('X_FDIRCTX', S.X_FDIRCTX, 'rw', 0, 'Extension. RSS context of filters added from now on'),
  one('X_RSSQBITS', S.X_RSSQBITS, 'hook', 0, 'Extension. Read only: bits of an RSS entry'),
  many('X_RSSKEY', S.X_RSSKEY, S.X_RSSKEY_WORDS, 'hook', 0, 'Extension. Key, byte 0 low'),
  many('X_RETA', S.X_RETA, 256, 'hook', 0, 'Extension. Indirection table, entries 0 to 1023'),
  many('X_RETA_256_UP', S.X_RETA_256_UP, 256, 'hook', 0, 'Extension. Entries 1024 to 2047'),
];

export const STEERING_REGISTERS: readonly RegisterDef[] = [
  ...FILTERS,
  ...FLOW_DIRECTOR,
  ...EXTENSION,
];
