from .exchangeable import Orbits as Orbits
from .factored_points import FactoredPoints as FactoredPoints
from .kernel import KernelGram as KernelGram
from .orbits import OrbitGram as OrbitGram
