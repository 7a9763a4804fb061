// Search on pages opened from disk, where browsers start no workers: a hidden frame runs the script.
// Material for MkDocs looks for a class of this name; this one asks no network for it.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = null
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inside = frame.contentWindow
      this.inside.postMessage = data => this.tell(new MessageEvent("message", { data }))
      this.inside.importScripts = (...urls) =>
        urls.reduce((before, next) => before.then(() => this.load(next)), Promise.resolve())
      this.ready = this.load(new URL(url, document.baseURI).href)
    }
    load(source) {
      return new Promise((resolve, reject) => {
        const script = this.inside.document.createElement("script")
        script.src = source
        script.onload = resolve
        script.onerror = () => reject(new Error(`cannot load ${source}`))
        this.inside.document.body.append(script)
      })
    }
    tell(event) {
      this.dispatchEvent(event)
      if (this.onmessage) this.onmessage(event)
    }
    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      this.inside.frameElement.remove()
    }
  }
  window.Worker = window.IFrameWorker
}
