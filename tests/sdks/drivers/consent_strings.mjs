// TC strings and GPP strings made by the IAB's own libraries: seed and count to a JSON line for each string with what
// the library that made it reads back.
import * as tcf from '@iabtcf/core'
import * as tcfOfTechLab from '@iabtechlabtcf/core'
import * as gpp from '@iabgpp/cmpapi'

let state = Number(process.argv[2])
const count = Number(process.argv[3])
const random = () => { state = (state * 1664525 + 1013904223) >>> 0; return state / 4294967296 }
const between = (low, high) => low + Math.floor(random() * (high - low + 1))
const one = (values) => values[between(0, values.length - 1)]
const some = (last, share) => Array.from({ length: last }, (_, i) => i + 1).filter(() => random() < share)
const print = (made) => console.log(JSON.stringify(made))

function vendorList () {
  const numbered = (last, entry) => Object.fromEntries(Array.from({ length: last }, (_, i) => [i + 1, { id: i + 1, ...entry }]))
  const vendors = numbered(900, {
    name: 'vendor', purposes: [1, 2, 3, 4, 7, 8, 9, 10], legIntPurposes: [], flexiblePurposes: [2, 7, 8, 9, 10],
    specialPurposes: [], features: [], specialFeatures: [], overflow: null, cookieMaxAgeSeconds: 1, usesCookies: true,
    cookieRefresh: false, usesNonCookieAccess: false, urls: []
  })
  return {
    gvlSpecificationVersion: 3, vendorListVersion: 150, tcfPolicyVersion: 5, lastUpdated: '2026-06-01T00:00:00Z', vendors,
    purposes: numbered(11, { name: 'purpose', description: '', illustrations: [] }),
    specialFeatures: numbered(2, { name: 'feature', description: '', illustrations: [] }),
    specialPurposes: {}, features: {}, stacks: {}, dataCategories: {}
  }
}

function tcString (library, name) {
  const { TCModel, TCString, GVL, PurposeRestriction, Segment } = library
  const model = new TCModel(new GVL(vendorList()))
  Object.assign(model, {
    cmpId: between(2, 400), cmpVersion: between(1, 60), consentScreen: between(0, 9), consentLanguage: one(['en', 'de', 'fr']),
    isServiceSpecific: random() < 0.8, publisherCountryCode: one(['DE', 'FR', 'AA'])
  })
  model.purposeConsents.set(some(11, one([0, 0.5, 0.9, 1])))
  model.purposeLegitimateInterests.set(some(11, random()).filter((purpose) => ![1, 3, 4, 5, 6].includes(purpose)))
  model.vendorConsents.set(some(900, one([0, 0.02, 0.5, 1])))
  model.vendorLegitimateInterests.set(some(900, one([0, 0, 0.02, 0.5])))
  if (random() < 0.6) model.vendorsDisclosed.set(some(900, one([0.05, 1])))
  if (random() < 0.3) model.vendorsAllowed.set(some(900, 0.1))
  if (random() < 0.3) { model.publisherConsents.set(some(11, 0.5)); model.numCustomPurposes = between(0, 3) }
  for (let left = random() < 0.4 ? between(1, 4) : 0; left > 0; left--) {
    const restriction = new PurposeRestriction()
    restriction.purposeId = one([2, 7, 8, 9, 10])
    restriction.restrictionType = between(0, 2)
    for (const vendor of some(900, 0.01)) model.publisherRestrictions.add(vendor, restriction)
  }
  const day = new Date(Date.UTC(one([2025, 2026]), between(0, 9), between(1, 28)))
  model.created = day
  model.lastUpdated = day
  const text = TCString.encode(model, random() < 0.4 ? { segments: [Segment.CORE] } : undefined)
  const back = TCString.decode(text)
  const members = (set) => [...set].filter(([, is]) => is).map(([id]) => id)
  const restrictions = back.publisherRestrictions.getRestrictions()
    .map((r) => [r.purposeId, r.restrictionType, back.publisherRestrictions.getVendors(r)])
  print({
    library: name, text, created: back.created.getTime(), purposes: members(back.purposeConsents),
    interests: members(back.purposeLegitimateInterests), vendors: members(back.vendorConsents),
    interestVendors: members(back.vendorLegitimateInterests), disclosed: members(back.vendorsDisclosed), restrictions
  })
}

function fillSection (model, name, fields) {
  const flags = (length, share) => Array.from({ length }, () => random() < share)
  const numbers = () => some(900, one([0, 0.01, 0.3]))
  const set = (field, value) => model.setFieldValue(name, field, value)
  if (name === 'tcfeuv2') {
    set('PurposeConsents', flags(24, one([0, 0.5, 1])))
    set('IsServiceSpecific', true)
    set('VendorConsents', numbers())
    set('VendorsDisclosed', numbers())
  } else if (name === 'tcfcav1') {
    set('PurposesExpressConsent', flags(24, one([0, 0.5, 1])))
    set('PurposesImpliedConsent', flags(24, 0.5))
    set('VendorExpressConsent', numbers())
    if (random() < 0.5) set('DisclosedVendors', numbers())
  } else if (name === 'uspv1') {
    for (const field of ['Notice', 'OptOutSale', 'LspaCovered']) set(field, one(['Y', 'N', '-']))
  } else {
    if (name === 'usnat') set('Version', between(1, 2))
    for (const field of Object.values(fields)) {
      if (/Version|SegmentType/.test(field) || random() < 0.5) continue
      const now = model.getFieldValue(name, field)
      const value = typeof now === 'boolean' ? random() < 0.5 : Array.isArray(now) ? now.map(() => between(0, 2)) : between(1, 2)
      try { set(field, value) } catch { /* a field of which the library takes back no value of its own kind stays */ }
    }
  }
}

function gppString () {
  const known = [...gpp.Sections.SECTION_ID_NAME_MAP.entries()]
  const chosen = [...new Set(Array.from({ length: between(1, 3) }, () => one(known)))]
  const model = new gpp.GppModel()
  const fieldsOf = (name) => gpp[Object.keys(gpp).find((key) => key.toLowerCase() === `${name}field`)]
  for (const [, name] of chosen) fillSection(model, name, fieldsOf(name))
  const text = model.encode()
  const back = new gpp.GppModel(text)
  const sections = Object.fromEntries(chosen.map(([id, name]) => [id, Object.fromEntries(
    Object.values(fieldsOf(name)).map((field) => [field, back.getFieldValue(name, field)])
  )]))
  print({ library: '@iabgpp/cmpapi', text, sections })
}

for (let made = 0; made < count; made++) {
  tcString(tcf, '@iabtcf/core')
  tcString(tcfOfTechLab, '@iabtechlabtcf/core')
  gppString()
}
