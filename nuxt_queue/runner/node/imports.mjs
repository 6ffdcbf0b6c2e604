/**
 * Resolves `#imports`, by which Nuxt's code imports by name what it has without an import.
 */

const DEFINITIONS = new URL('./define.cjs', import.meta.url).href

export function resolve(specifier, context, next) {
  if (specifier !== '#imports') return next(specifier, context)
  return { url: DEFINITIONS, format: 'commonjs', shortCircuit: true }
}
