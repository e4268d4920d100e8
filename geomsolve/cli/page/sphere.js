// Points in the unit ball, a wire sphere around them: drag to turn, hover to be told what a point is.
export default {
  template: '<canvas role="img" :aria-label="label" style="width:100%;touch-action:none;cursor:grab"></canvas>',
  props: { points: Array, colours: Array, marks: Array, words: Array, label: String, height: Number },
  data: () => ({ around: 0.7, above: 0.4 }),
  watch: { points() { this.draw(); } },
  mounted() {
    let held = null;
    const canvas = this.$el;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => { held = event; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", () => { held = null; });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return this.tell(event);
      this.around -= (event.clientX - held.clientX) / 100;
      this.above = Math.max(-1.5, Math.min(1.5, this.above + (event.clientY - held.clientY) / 100));
      held = event;
      this.draw();
    });
  },
  methods: {
    // The place of a point on the canvas and how far in front it is.
    seen([x, y, z]) {
      const right = y * Math.cos(this.around) - x * Math.sin(this.around);
      const front = x * Math.cos(this.around) + y * Math.sin(this.around);
      const up = z * Math.cos(this.above) - front * Math.sin(this.above);
      const depth = front * Math.cos(this.above) + z * Math.sin(this.above);
      return [this.width / 2 + this.radius * right, this.height / 2 - this.radius * up, depth];
    },
    draw() {
      const canvas = this.$el, ratio = window.devicePixelRatio || 1;
      this.width = canvas.clientWidth;
      this.radius = Math.min(this.width, this.height) / 2 - 10;
      canvas.style.height = `${this.height}px`;
      canvas.width = this.width * ratio;
      canvas.height = this.height * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.strokeStyle = "#e2e2e2";
      const turn = Array.from({ length: 49 }, (_, i) => (i * Math.PI) / 24);
      for (let k = 0; k < 6; k++) {
        const a = (k * Math.PI) / 6, b = ((k - 2.5) * Math.PI) / 6;
        this.line(pen, turn.map((t) => [Math.cos(t) * Math.cos(a), Math.cos(t) * Math.sin(a), Math.sin(t)]));
        this.line(pen, turn.map((t) => [Math.cos(t) * Math.cos(b), Math.sin(t) * Math.cos(b), Math.sin(b)]));
      }
      this.places = (this.points || []).map((point, i) => [...this.seen(point), i]).sort((p, q) => p[2] - q[2]);
      pen.strokeStyle = "white";
      for (const [x, y, depth, i] of this.places) {
        const size = 6 + 1.5 * depth, side = 1.7 * size;
        pen.fillStyle = this.colours[i];
        pen.beginPath();
        if (this.marks[i]) pen.rect(x - side / 2, y - side / 2, side, side);
        else pen.arc(x, y, size, 0, 7);
        if (this.marks[i] === 2) pen.rect(x - side / 4, y - side / 4, side / 2, side / 2);
        pen.fill("evenodd");
        pen.stroke();
      }
    },
    line(pen, points) {
      pen.beginPath();
      points.map((point) => this.seen(point)).forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.stroke();
    },
    tell(event) {
      const far = ([x, y]) => Math.hypot(x - event.offsetX, y - event.offsetY);
      const near = (this.places || []).filter((place) => far(place) < 12).sort((p, q) => far(p) - far(q))[0];
      this.$el.title = near ? this.words[near[3]] : "";
    },
  },
};
