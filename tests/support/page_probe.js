// SPDX-License-Identifier: MIT
// Put behind a report's page by page.sh: what a reader's browser makes of it, a line each, told to the page
// that frames it, since a window of its own cannot be as narrow as a phone.
(function () {
  'use strict'
  var lines = []
  function say(what, good, more) { lines.push((good ? 'ok ' : 'BAD ') + what + (good ? '' : ': ' + more)) }
  function parts(list) { return Array.from(list, function (node) { return node.textContent.trim() }) }

  say('width', innerWidth === Number(new URLSearchParams(location.search).get('width')), innerWidth)
  say('no horizontal scroll', document.documentElement.scrollWidth <= innerWidth,
    document.documentElement.scrollWidth + ' of ' + innerWidth)
  var lost = Array.from(document.querySelectorAll('a[href^="#"]')).filter(function (a) {
    return !document.getElementById(a.getAttribute('href').slice(1))
  })
  say('links to sections', document.querySelectorAll('nav a').length > 3 && !lost.length, lost.join())
  var ids = parts(document.querySelectorAll('[id]')), names = Array.from(document.querySelectorAll('[id]'), function (e) { return e.id })
  say('ids are unique', new Set(names).size === ids.length, ids.length)

  var tips = parts(document.querySelectorAll('svg .tip > title'))
  say('tooltips', tips.length > 10 && tips.every(function (t) { return /\d/.test(t) && !/gnuplot|NaN/.test(t) }),
    tips.length + ' ' + tips.filter(function (t) { return !/\d/.test(t) })[0])
  say('no other tooltips in figures', document.querySelectorAll('svg title').length === tips.length, '')
  var point = document.querySelector('svg .tip')
  point.dispatchEvent(new MouseEvent('click', {bubbles: true}))
  var tip = document.getElementById('tip')
  say('a finger sees one', tip && tip.textContent === point.querySelector('title').textContent, tip)

  // Any table: a click sorts, another turns it round, and no row is lost.
  document.querySelectorAll('table').forEach(function (table, t) {
    var rows = table.tBodies[0].rows, before = parts(rows).sort().join()
    table.querySelectorAll('th').forEach(function (head, column) {
      function cells() {
        return Array.from(rows, function (row) { return row.cells[column] }).filter(function (c) {
          return c.firstChild && c.firstChild.nodeType === 3 && /^[+-]?[\d.]+(e[+-]\d+)?$/.test(c.firstChild.data.trim())
        }).map(function (c) { return Number(c.firstChild.data) })
      }
      var plain = head.classList.contains('n') && cells().length === rows.length
      ;['ascending', 'descending'].forEach(function (direction, i) {
        head.querySelector('button').click()
        var sign = i ? -1 : 1, list = cells()
        if (head.getAttribute('aria-sort') !== direction) say('sort', false, 'table ' + t + ' column ' + column)
        if (plain && list.some(function (x, j) { return j && sign * (x - list[j - 1]) < 0 }))
          say('sorted ' + direction, false, 'table ' + t + ' column ' + column + ' ' + list)
      })
    })
    say('table ' + t + ' keeps its rows', parts(rows).sort().join() === before, '')
  })
  // Numbers with units, by hand.
  var words = ['2.5M', '900', '1.1k', '\u2013', '3\u00d710\u2079', '5 min 06 s', '2 h 00 min', '16\u00b2', '7 KiB']
  var first = document.querySelector('table')
  if (first) {
    var body = first.tBodies[0], row = body.rows[0].cloneNode(true), n = Array.from(row.cells).findIndex(function (c) { return c.classList.contains('n') })
    body.textContent = ''
    words.forEach(function (word) {
      var copy = row.cloneNode(true)
      copy.cells[n].textContent = word
      body.append(copy)
    })
    var button = first.querySelectorAll('th')[n].querySelector('button')
    button.click()
    if (first.querySelectorAll('th')[n].getAttribute('aria-sort') === 'descending') button.click()
    var order = Array.from(body.rows, function (r) { return r.cells[n].textContent }).join()
    say('units', order === '16\u00b2,5 min 06 s,900,1.1k,7 KiB,2 h 00 min,2.5M,3\u00d710\u2079,\u2013', order)
  }
  say('no errors', window.probeErrors.length === 0, window.probeErrors.join())
  parent.postMessage('PROBE\n' + lines.join('\n') + '\nEND\n', '*')
})()
