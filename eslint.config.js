// Small on purpose: the recommended type-checked rules, and the bans that keep the model pure and its hot paths free of
// allocation. Import direction and the absence of Node's types are the compiler's job (project references, lib, types).

import tseslint from 'typescript-eslint';

const PURE = ['hw/**/*.ts', 'driver/**/*.ts', 'src/**/*.ts'];

const bigintBan = {
  selector: "Literal[bigint], Identifier[name='BigInt']",
  message:
    'BigInt costs 9 to 25 ns an operation here: use two numbers (tests may use it as the oracle)',
};

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**', 'eslint.config.js', 'bench/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        project: [
          './hw/tsconfig.json',
          './driver/tsconfig.json',
          './src/tsconfig.json',
          './src/node/tsconfig.json',
          './test/tsconfig.json',
        ],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      eqeqeq: 'error',
      'no-restricted-globals': ['error', { name: 'Date', message: 'simulated time only' }],
    },
  },
  {
    files: PURE,
    ignores: ['src/node/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'seeded generators only' },
      ],
      'no-restricted-syntax': ['error', bigintBan],
      'no-console': 'error',
    },
  },
  {
    files: ['src/node/**/*.ts'],
    rules: { 'no-restricted-globals': 'off' },
  },
  {
    files: ['vitest.config.ts'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { parserOptions: { project: null } },
  },
);
