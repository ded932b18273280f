// The EEPROM behind EERD and EEWR: a plausible 128 Kb image of 16-bit words with the station addresses of two functions and
// a checksum that drivers accept (82599 datasheet 6.1 to 6.3: pointers in words 0x03 to 0x0F, checksum in 0x3F).
//
// One per card, kept over resets. Left out: bit banging through EEC, flash, what the words would configure.

/** Words of the image: EEC.SIZE 7. */
const EEPROM_WORDS = 8192;
const PCIE_ANALOG_POINTER = 0x03;
const CORE0_POINTER = 0x09;
const FIRMWARE_POINTER = 0x0f;
const CHECKSUM_WORD = 0x3f;
/** The words up to and with the checksum, and all sections, sum to this. */
const CHECKSUM_TOTAL = 0xbaba;
/** Where the sections of the functions lie: three words of address each, the length in front. */
const CORE_SECTION_AT = 0x100;
const CORE_SECTION_STEP = 0x10;
const ADDRESS_WORDS = 3;

/** The words of a card; `macOf` gives the address of each function. */
export function eepromImage(
  functions: number,
  macOf: (i: number) => readonly number[],
): Uint16Array {
  const words = new Uint16Array(EEPROM_WORDS).fill(0xffff);
  words.fill(0, 0, CHECKSUM_WORD + 1);
  words.fill(0xffff, PCIE_ANALOG_POINTER, FIRMWARE_POINTER + 1);
  for (let i = 0; i < Math.min(functions, 2); i++) {
    const at = CORE_SECTION_AT + i * CORE_SECTION_STEP;
    words[CORE0_POINTER + i] = at;
    words[at] = ADDRESS_WORDS;
    const mac = macOf(i);
    for (let w = 0; w < ADDRESS_WORDS; w++) words[at + 1 + w] = mac[2 * w] | (mac[2 * w + 1] << 8);
  }
  words[CHECKSUM_WORD] = eepromChecksum(words);
  return words;
}

/** What word 0x3F should hold. */
function eepromChecksum(words: Uint16Array): number {
  let sum = 0;
  for (let i = 0; i < CHECKSUM_WORD; i++) sum += words[i];
  for (let p = PCIE_ANALOG_POINTER; p < FIRMWARE_POINTER; p++) {
    const at = words[p];
    if (at === 0xffff || at === 0) continue;
    for (let i = 1; i <= words[at]; i++) sum += words[at + i];
  }
  return (CHECKSUM_TOTAL - sum) & 0xffff;
}
